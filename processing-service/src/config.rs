//! The settings of this service, as data.

use std::path::PathBuf;
use std::time::Duration;

use consumer::{RetryPolicy, TraceProcessing};
use grpc::server::GrpcConfig;
use kafka::KafkaConfig;
use kafka::topics::TopicsConfig;
use service::backoff::Backoff;
use service::config::{ConfigError, Environment, SettingDoc, Settings, SettingsSource};
use service::shutdown::ShutdownConfig;
use sql::database::DatabaseConfig;
use telemetry::TelemetryConfig;

use crate::steps::CapturePolicy;

/// Waits between attempts at the payment provider. With five attempts an order gives up after at most three seconds of
/// waiting beside the attempts themselves: longer and the orders in work would be nothing but waiting ones.
const PAYMENT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(2),
};

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where gRPC is served.
    pub grpc: GrpcConfig,
    /// Where data is kept.
    pub database: DatabaseConfig,
    /// Where events come from and go to.
    pub kafka: KafkaConfig,
    /// What topics have to look like.
    pub topics: TopicsConfig,
    /// How long events that fail are tried again.
    pub retry_policy: RetryPolicy,
    /// How attempts at events stand to the trace of the event.
    pub trace_processing: TraceProcessing,
    /// The file with the SKUs and their opening stock.
    pub catalogue_file: PathBuf,
    /// The payment provider.
    pub payment: PaymentConfig,
    /// What is logged and traced.
    pub telemetry: TelemetryConfig,
    /// How long a stop may take.
    pub shutdown: ShutdownConfig,
}

/// The payment provider.
#[derive(Clone, Copy, Debug)]
pub struct PaymentConfig {
    /// How long the simulated provider takes to answer.
    pub latency: Duration,
    /// How patient a capture is.
    pub capture: CapturePolicy,
}

impl Config {
    /// Reads the configuration from the environment of the process.
    ///
    /// # Errors
    /// As [`Config::from_source`].
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_source(&Environment)
    }

    /// Reads all settings, or reports every mistake in them.
    pub fn from_source(source: &dyn SettingsSource) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(source);
        let config = Self::read(&mut settings);
        settings.finish(config)
    }

    /// The settings, as this code reads them.
    pub fn documentation() -> Vec<SettingDoc> {
        let nothing = std::collections::BTreeMap::new();
        let mut settings = Settings::new(&nothing);
        Self::read(&mut settings);
        settings.documentation().to_vec()
    }

    fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            grpc: GrpcConfig::read(settings, "127.0.0.1:50052"),
            database: DatabaseConfig::read(settings, "sqlite://processing-service.db"),
            kafka: KafkaConfig::read(settings),
            topics: TopicsConfig::read(settings),
            retry_policy: RetryPolicy::read(settings),
            trace_processing: TraceProcessing::read(settings),
            catalogue_file: settings.value(
                "CATALOGUE_FILE",
                "catalogue.csv",
                "CSV file `sku,name,opening_stock`; SKUs that are not in the database yet are added at start",
            ),
            payment: PaymentConfig::read(settings),
            telemetry: TelemetryConfig::read(settings),
            shutdown: ShutdownConfig::read(settings),
        }
    }
}

impl PaymentConfig {
    fn read(settings: &mut Settings<'_>) -> Self {
        let latency = settings.value(
            "PAYMENT_LATENCY",
            "20ms",
            "how long the simulated payment provider takes to answer",
        );
        let attempts = settings.value(
            "PAYMENT_ATTEMPTS",
            "5",
            "captures that are tried before an order is rejected, at least 1",
        );
        let timeout = settings.value(
            "PAYMENT_TIMEOUT",
            "3s",
            "how long one call of the payment provider may take, longer than PAYMENT_LATENCY",
        );
        if attempts == 0 {
            settings.reject("PAYMENT_ATTEMPTS", "expected at least 1");
        }
        if timeout <= latency {
            settings.reject("PAYMENT_TIMEOUT", "expected more than PAYMENT_LATENCY");
        }
        let capture = CapturePolicy {
            attempts,
            timeout,
            backoff: PAYMENT_BACKOFF,
        };
        Self { latency, capture }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_source(&pairs.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn an_empty_environment_is_a_valid_configuration() {
        let config = config(&[]).unwrap();

        assert_eq!(config.payment.latency, Duration::from_millis(20));
        assert_eq!(config.payment.capture.attempts, 5);
    }

    #[test]
    fn every_mistake_is_named() {
        let mistakes = [
            ("PAYMENT_ATTEMPTS", "0"),
            ("PAYMENT_TIMEOUT", "10ms"),
            ("SHUTDOWN_GRACE", "soon"),
        ];

        let error = config(&mistakes).unwrap_err();

        let names: Vec<_> = error
            .mistakes()
            .iter()
            .map(|m| m.split(':').next().unwrap())
            .collect();
        assert_eq!(
            names,
            ["PAYMENT_ATTEMPTS", "PAYMENT_TIMEOUT", "SHUTDOWN_GRACE"]
        );
    }

    #[test]
    fn every_setting_is_documented_once() {
        let mut names: Vec<_> = Config::documentation().iter().map(|doc| doc.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();

        assert_eq!(names.len(), count);
        assert!(names.contains(&"CATALOGUE_FILE"));
    }
}
