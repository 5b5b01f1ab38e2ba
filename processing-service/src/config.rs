//! The settings of this service, as data.

use std::path::PathBuf;
use std::time::Duration;

use consumer::{RetryPolicy, TraceProcessing};
use grpc::server::GrpcConfig;
use kafka::KafkaConfig;
use kafka::topics::TopicsConfig;
use service::backoff::Backoff;
use service::config::{Configuration, Settings};
use service::shutdown::ShutdownConfig;
use sql::database::DatabaseConfig;
use sql::owner::Owner;
use telemetry::TelemetryConfig;

use crate::retention::RetentionConfig;
use crate::steps::CapturePolicy;
use crate::topics::NEEDED;

/// Waits between capture attempts. Five attempts add at most three seconds of waits to the calls themselves: with longer
/// waits, the orders in flight would all be waiting ones.
const PAYMENT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(2),
};

#[derive(Clone, Debug)]
pub struct Config {
    pub grpc: GrpcConfig,
    pub database: DatabaseConfig,
    pub kafka: KafkaConfig,
    pub topics: TopicsConfig,
    pub retry_policy: RetryPolicy,
    pub retention: RetentionConfig,
    /// How a processing span relates to the trace of its event.
    pub trace_processing: TraceProcessing,
    /// The file with the SKUs and their opening stock.
    pub catalogue_file: PathBuf,
    pub payment: PaymentConfig,
    /// Maximum events of orders that are handled at once.
    pub orders_in_flight: usize,
    /// Whether ProcessOrder is served.
    pub process_order: bool,
    pub telemetry: TelemetryConfig,
    pub shutdown: ShutdownConfig,
}

#[derive(Clone, Copy, Debug)]
pub struct PaymentConfig {
    /// Response time of the simulated provider.
    pub latency: Duration,
    pub capture: CapturePolicy,
}

impl Configuration for Config {
    fn read(settings: &mut Settings<'_>) -> Self {
        let service = env!("CARGO_PKG_NAME");
        let grpc = GrpcConfig::read(settings, "127.0.0.1:50052");
        let kafka = KafkaConfig::read(settings, service, &NEEDED);
        let owner = Owner::new(service, kafka.prefix.as_str());
        Self {
            grpc,
            database: DatabaseConfig::read(settings, "sqlite://processing-service.db", owner),
            kafka,
            topics: TopicsConfig::read(settings),
            retry_policy: RetryPolicy::read(settings),
            retention: RetentionConfig::read(settings),
            trace_processing: TraceProcessing::read(settings),
            catalogue_file: settings.value(
                "CATALOGUE_FILE",
                "catalogue.csv",
                "CSV file `sku,name,opening_stock`; SKUs that are missing in the database are added at start",
            ),
            payment: PaymentConfig::read(settings),
            orders_in_flight: read_orders_in_flight(settings),
            process_order: settings.value(
                "PROCESS_ORDER",
                "false",
                "whether ProcessOrder is served, which runs a whole order inside of the call: for the comparison of `make compare`",
            ),
            telemetry: TelemetryConfig::read(settings),
            shutdown: ShutdownConfig::read(settings),
        }
    }
}

/// An order in flight mostly waits for the payment provider, so there can be many: at 20 ms each, 1,024 of them are 50,000
/// orders per second, more than any database here sustains.
fn read_orders_in_flight(settings: &mut Settings<'_>) -> usize {
    let (name, about) = (
        "ORDERS_IN_FLIGHT",
        "maximum events of orders that are handled at once, at least 1",
    );
    let limit = settings.value(name, "1024", about);
    settings.require(limit > 0, name, "expected at least 1");
    limit
}

impl PaymentConfig {
    fn read(settings: &mut Settings<'_>) -> Self {
        let latency = settings.value(
            "PAYMENT_LATENCY",
            "20ms",
            "response time of the simulated payment provider",
        );
        let attempts = settings.value(
            "PAYMENT_ATTEMPTS",
            "5",
            "capture attempts before an order is rejected, at least 1",
        );
        let timeout = settings.value(
            "PAYMENT_TIMEOUT",
            "3s",
            "timeout of one call to the payment provider, longer than PAYMENT_LATENCY",
        );
        settings.require(attempts > 0, "PAYMENT_ATTEMPTS", "expected at least 1");
        let why = "expected more than PAYMENT_LATENCY";
        settings.require(timeout > latency, "PAYMENT_TIMEOUT", why);
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

    use proptest::prelude::*;
    use service::config::ConfigError;
    use service::config::testing::{
        ANY_VALUE, names, unnamed_mistakes, unnamed_mistakes_of_hostile_values,
    };

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
            ("ORDERS_IN_FLIGHT", "0"),
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
            [
                "PAYMENT_ATTEMPTS",
                "PAYMENT_TIMEOUT",
                "ORDERS_IN_FLIGHT",
                "SHUTDOWN_GRACE"
            ]
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

    #[test]
    fn every_mistake_about_a_hostile_value_names_its_setting() {
        assert_eq!(unnamed_mistakes_of_hostile_values::<Config>(), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_value_of_any_setting_panics_or_is_refused_without_its_name(
            name in proptest::sample::select(names::<Config>()),
            value in ANY_VALUE,
        ) {
            prop_assert_eq!(unnamed_mistakes::<Config>(name, &value), [""; 0]);
        }
    }
}
