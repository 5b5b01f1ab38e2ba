//! The configuration: data, read once, every mistake named at once.

use std::time::Duration;

use consumer::{RetryPolicy, TraceProcessing};
use grpc::auth::AuthConfig;
use grpc::client::{Address, ClientConfig};
use grpc::rate_limit::CustomerRateLimitConfig;
use grpc::server::GrpcConfig;
use grpc::tls::{ClientTlsFiles, ClientTlsSettings};
use kafka::KafkaConfig;
use kafka::topics::TopicsConfig;
use service::config::{
    ConfigError, Environment, FromSetting, SettingDoc, Settings, SettingsSource,
};
use service::shutdown::ShutdownConfig;
use sql::database::DatabaseConfig;
use sql::group_commit::GroupCommitConfig;
use telemetry::TelemetryConfig;

use crate::admission::BacklogLimits;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API listens.
    pub grpc: GrpcConfig,
    /// Which callers are believed; `None`: everybody, to everything.
    pub auth: Option<AuthConfig>,
    /// How much each customer may ask for; `None`: anything.
    pub fair_share: Option<CustomerRateLimitConfig>,
    /// Where orders are kept.
    pub database: DatabaseConfig,
    /// Where events go and outcomes come from.
    pub kafka: KafkaConfig,
    /// What the topics must look like.
    pub topics: TopicsConfig,
    /// How long outcomes that fail are tried again.
    pub retry_policy: RetryPolicy,
    /// How attempts at events stand to the trace of the event.
    pub trace_processing: TraceProcessing,
    /// How requests share commits.
    pub commit: GroupCommitConfig,
    /// How much may wait for Kafka before no more orders are accepted.
    pub backlog: BacklogLimits,
    /// Whether and how processing-service is asked for the stock before an order is accepted.
    pub inventory: InventoryConfig,
    /// Most WatchOrder streams that are open at once.
    pub watch_streams: usize,
    /// What is logged and where telemetry goes.
    pub telemetry: TelemetryConfig,
    /// How long a stop may take.
    pub shutdown: ShutdownConfig,
}

/// How processing-service is asked for the stock.
#[derive(Clone, Debug)]
pub struct InventoryConfig {
    /// What depends on the answer, and how long it may take.
    pub availability: AvailabilityConfig,
    /// Where processing-service is.
    pub client: ClientConfig,
    /// Whom it is believed to be; needed for an https address.
    pub tls: Option<ClientTlsFiles>,
}

const PROCESSING_ADDRESS: &str = "PROCESSING_ADDRESS";
const PROCESSING_TLS: ClientTlsSettings = ClientTlsSettings {
    ca_file: "PROCESSING_TLS_CA_FILE",
    certificate_file: "PROCESSING_TLS_CERTIFICATE_FILE",
    key_file: "PROCESSING_TLS_KEY_FILE",
};

impl InventoryConfig {
    fn read(settings: &mut Settings<'_>) -> Self {
        let config = Self {
            availability: AvailabilityConfig::read(settings),
            client: ClientConfig::read(
                settings,
                PROCESSING_ADDRESS,
                "http://127.0.0.1:50052",
                "where processing-service is asked: `http://HOST:PORT` or `https://HOST:PORT`, several separated by commas; a name is looked up again and again, and stands for all replicas behind it",
            ),
            tls: ClientTlsFiles::read(settings, PROCESSING_TLS),
        };
        config.check(settings);
        config
    }

    fn check(&self, settings: &mut Settings<'_>) {
        let mut addresses = self.client.addresses.iter();
        let has_secure = addresses.any(Address::is_secure);
        match (&self.tls, has_secure) {
            (None, true) => {
                let why = format!("an https address needs {}", PROCESSING_TLS.ca_file);
                settings.reject(PROCESSING_ADDRESS, why);
            }
            (Some(_), false) => {
                let why = format!("has no effect unless {PROCESSING_ADDRESS} says https");
                settings.reject(PROCESSING_TLS.ca_file, why);
            }
            _ => {}
        }
    }
}

/// How an order's availability is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailabilityConfig {
    /// What depends on the answer.
    pub policy: AvailabilityPolicy,
    /// How long the question may take, all attempts together.
    pub timeout: Duration,
}

/// What depends on the answer whether an order can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AvailabilityPolicy {
    /// An order without an answer is accepted, and processing decides.
    BestEffort,
    /// An order without an answer is not accepted.
    Required,
    /// Nobody is asked.
    Off,
}

impl FromSetting for AvailabilityPolicy {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "best-effort" => Ok(Self::BestEffort),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err("best-effort, required or off".to_owned()),
        }
    }
}

/// Whoever places an order waits for the check and for the commit; no client waits longer than this for the first half.
const MAX_AVAILABILITY_TIMEOUT: Duration = Duration::from_secs(5);

impl AvailabilityConfig {
    fn read(settings: &mut Settings<'_>) -> Self {
        let policy = settings.value(
            "AVAILABILITY_CHECK",
            "best-effort",
            "whether processing-service is asked for the stock before an order is accepted: `best-effort` accepts an order also without an answer, `required` does not, `off` asks nobody",
        );
        let timeout = settings.value(
            "AVAILABILITY_TIMEOUT",
            "50ms",
            "how long that question may take, all attempts together; it is the most that a slow answer adds to placing an order",
        );
        if timeout == Duration::ZERO || timeout > MAX_AVAILABILITY_TIMEOUT {
            settings.reject("AVAILABILITY_TIMEOUT", "must be 1ms to 5s");
        }
        Self { policy, timeout }
    }
}

/// More commits at once than connections would only wait.
const MAX_COMMIT_WRITERS: usize = 100;

/// Most orders in one commit: a larger one delays its callers more than it spares them.
const MAX_COMMIT_BATCH: usize = 1_000;

impl Config {
    /// Reads the configuration from the environment of the process.
    ///
    /// # Errors
    /// As [`Config::from_source`].
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_source(&Environment)
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] with every setting that is wrong, by itself or beside another.
    pub fn from_source(source: &dyn SettingsSource) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(source);
        let config = Self::read(&mut settings);
        settings.finish(config)
    }

    /// All settings with their defaults, in reading order.
    pub fn documentation() -> Vec<SettingDoc> {
        let nothing = std::collections::BTreeMap::new();
        let mut settings = Settings::new(&nothing);
        Self::read(&mut settings);
        settings.documentation().to_vec()
    }

    fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            grpc: GrpcConfig::read(settings, "127.0.0.1:50051"),
            auth: AuthConfig::read(settings),
            fair_share: CustomerRateLimitConfig::read(settings),
            database: DatabaseConfig::read(settings, "sqlite://order-service.db"),
            kafka: KafkaConfig::read(settings),
            topics: TopicsConfig::read(settings),
            retry_policy: RetryPolicy::read(settings),
            trace_processing: TraceProcessing::read(settings),
            commit: read_commit(settings),
            backlog: BacklogLimits::read(settings),
            inventory: InventoryConfig::read(settings),
            watch_streams: read_watch_streams(settings),
            telemetry: TelemetryConfig::read(settings),
            shutdown: ShutdownConfig::read(settings),
        }
    }
}

fn read_commit(settings: &mut Settings<'_>) -> GroupCommitConfig {
    let max_batch = settings.value(
        "COMMIT_MAX_BATCH",
        "200",
        "most orders that share one commit",
    );
    let queue = settings.value(
        "COMMIT_QUEUE",
        "4096",
        "orders that may wait for their commit; more are refused with RESOURCE_EXHAUSTED",
    );
    if !(1..=MAX_COMMIT_BATCH).contains(&max_batch) {
        let why = format!("must be 1 to {MAX_COMMIT_BATCH}");
        settings.reject("COMMIT_MAX_BATCH", why);
    }
    if queue < max_batch {
        settings.reject("COMMIT_QUEUE", "must not be below COMMIT_MAX_BATCH");
    }
    GroupCommitConfig {
        max_batch,
        queue,
        writers: read_commit_writers(settings),
    }
}

fn read_commit_writers(settings: &mut Settings<'_>) -> usize {
    let writers = settings.value(
        "COMMIT_WRITERS",
        "1",
        "commits of new orders that may be in work at once, each on a connection of its own; more make smaller batches, which pays only where the database is far away",
    );
    if !(1..=MAX_COMMIT_WRITERS).contains(&writers) {
        let why = format!("must be 1 to {MAX_COMMIT_WRITERS}");
        settings.reject("COMMIT_WRITERS", why);
    }
    writers
}

fn read_watch_streams(settings: &mut Settings<'_>) -> usize {
    let streams = settings.value(
        "WATCH_STREAMS",
        "4096",
        "WatchOrder streams that may be open; more are refused with RESOURCE_EXHAUSTED",
    );
    // Tokio's semaphore panics above this; no machine holds so many connections.
    if streams > tokio::sync::Semaphore::MAX_PERMITS {
        settings.reject("WATCH_STREAMS", "must be below 2^61");
    }
    streams
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
    fn the_defaults_are_valid_and_stay_on_this_machine() {
        let config = config(&[]).unwrap();

        assert_eq!(config.grpc.listen, "127.0.0.1:50051".parse().unwrap());
        assert_eq!(config.database.url.expose(), "sqlite://order-service.db");
        assert_eq!(config.kafka.brokers, "127.0.0.1:9092");
        assert_eq!(config.shutdown.grace, Duration::from_secs(25));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let error = config(&[
            ("GRPC_LISTEN", "everywhere"),
            ("DATABASE_URL", "oracle://"),
            ("COMMIT_MAX_BATCH", "0"),
            ("COMMIT_QUEUE", "-1"),
            ("AVAILABILITY_CHECK", "sometimes"),
            ("AVAILABILITY_TIMEOUT", "6s"),
            ("WATCH_STREAMS", "18446744073709551615"),
        ])
        .unwrap_err();

        let names: Vec<_> = error
            .mistakes()
            .iter()
            .map(|mistake| mistake.split(':').next().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "GRPC_LISTEN",
                "DATABASE_URL",
                "COMMIT_QUEUE",
                "COMMIT_MAX_BATCH",
                "AVAILABILITY_CHECK",
                "AVAILABILITY_TIMEOUT",
                "WATCH_STREAMS"
            ]
        );
    }

    #[test]
    fn each_policy_of_the_check_has_a_name() {
        for (name, policy) in [
            ("", AvailabilityPolicy::BestEffort),
            ("best-effort", AvailabilityPolicy::BestEffort),
            ("required", AvailabilityPolicy::Required),
            ("off", AvailabilityPolicy::Off),
        ] {
            let config = config(&[("AVAILABILITY_CHECK", name)]).unwrap();
            assert_eq!(config.inventory.availability.policy, policy, "{name}");
        }
    }

    #[test]
    fn a_queue_holds_at_least_one_batch() {
        let error = config(&[("COMMIT_MAX_BATCH", "100"), ("COMMIT_QUEUE", "99")]).unwrap_err();

        assert_eq!(error.mistakes().len(), 1);
    }
}
