//! The configuration: data, read once; all invalid settings are reported together.

use std::time::Duration;

use consumer::{RetryPolicy, TraceProcessing};
use grpc::auth::AuthConfig;
use grpc::client::{Address, Addresses};
use grpc::rate_limit::CustomerRateLimitConfig;
use grpc::server::GrpcConfig;
use grpc::server::load_shed::OPEN_STREAMS;
use grpc::tls::{ClientTlsFiles, ClientTlsSettings};
use kafka::KafkaConfig;
use kafka::topics::TopicsConfig;
use service::config::{Configuration, FromSetting, Settings, parse};
use service::shutdown::ShutdownConfig;
use sql::database::DatabaseConfig;
use sql::group_commit::GroupCommitConfig;
use sql::owner::Owner;
use telemetry::TelemetryConfig;

use crate::admission::BacklogLimits;
use crate::retention::RetentionConfig;
use crate::topics::NEEDED;

#[derive(Clone, Debug)]
pub struct Config {
    pub grpc: GrpcConfig,
    /// `None`: no authentication, every call is allowed.
    pub auth: Option<AuthConfig>,
    /// `None`: unlimited.
    pub rate_limit: Option<CustomerRateLimitConfig>,
    pub database: DatabaseConfig,
    pub kafka: KafkaConfig,
    pub topics: TopicsConfig,
    pub retry_policy: RetryPolicy,
    pub retention: RetentionConfig,
    pub trace_processing: TraceProcessing,
    pub commit: GroupCommitConfig,
    pub backlog: BacklogLimits,
    pub inventory: InventoryConfig,
    /// Maximum open WatchOrder streams.
    pub watch_streams: usize,
    pub telemetry: TelemetryConfig,
    pub shutdown: ShutdownConfig,
}

/// The availability check and its client.
#[derive(Clone, Debug)]
pub struct InventoryConfig {
    pub availability: AvailabilityConfig,
    pub addresses: Addresses,
    /// Required for an https address.
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
        let availability = AvailabilityConfig::read(settings);
        let addresses: Addresses = settings.value(
            PROCESSING_ADDRESS,
            "http://127.0.0.1:50052",
            "address of processing-service: `http://HOST:PORT` or `https://HOST:PORT`, several separated by commas; a host name is resolved repeatedly and stands for all replicas behind it",
        );
        let tls = ClientTlsFiles::read(settings, PROCESSING_TLS);
        let is_secure = addresses.iter().any(Address::is_secure);
        let why = format_args!("an https address needs {}", PROCESSING_TLS.ca_file);
        settings.require(tls.is_some() || !is_secure, PROCESSING_ADDRESS, why);
        let why = format_args!("has no effect without an https address in {PROCESSING_ADDRESS}");
        settings.require(tls.is_none() || is_secure, PROCESSING_TLS.ca_file, why);
        Self {
            availability,
            addresses,
            tls,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailabilityConfig {
    pub policy: AvailabilityPolicy,
    /// For all attempts together.
    pub timeout: Duration,
    /// How long a report about a SKU is used again; zero: not at all.
    pub max_age: Duration,
}

/// The effect of a check without a usable response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum AvailabilityPolicy {
    /// The order is accepted, and processing decides.
    BestEffort,
    /// The order is refused.
    Required,
    /// There is no check.
    Off,
}

impl FromSetting for AvailabilityPolicy {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "best-effort, required or off")
    }
}

/// PlaceOrder waits for the check and then for the commit; this bounds the first. The service config of the contract has the
/// same timeout for CheckAvailability: a shorter one there would cut off what is set here.
const MAX_AVAILABILITY_TIMEOUT: Duration = Duration::from_secs(5);

/// Beyond it, CONFIRMED would say little about the stock.
const MAX_AVAILABILITY_AGE: Duration = Duration::from_secs(60);

impl AvailabilityConfig {
    /// A call that takes half of the timeout is slow: its replica will soon exceed all of it.
    pub fn slow_call(&self) -> Duration {
        self.timeout / 2
    }

    fn read(settings: &mut Settings<'_>) -> Self {
        let policy = settings.value(
            "AVAILABILITY_CHECK",
            "best-effort",
            "availability check with processing-service before an order is accepted: `best-effort` accepts the order without a response, `required` refuses it, `off` disables the check",
        );
        let timeout = settings.value(
            "AVAILABILITY_TIMEOUT",
            "50ms",
            "timeout of the availability check, all attempts together; the maximum that it adds to the latency of PlaceOrder",
        );
        let is_valid = timeout > Duration::ZERO && timeout <= MAX_AVAILABILITY_TIMEOUT;
        settings.require(is_valid, "AVAILABILITY_TIMEOUT", "must be 1ms to 5s");
        let max_age = settings.value(
            "AVAILABILITY_MAX_AGE",
            "100ms",
            "how long the response about a SKU is used for other orders, counted from the start of its call; 0ms: every order waits for a call that begins after it",
        );
        let is_valid = max_age <= MAX_AVAILABILITY_AGE;
        settings.require(is_valid, "AVAILABILITY_MAX_AGE", "must be at most 60s");
        Self {
            policy,
            timeout,
            max_age,
        }
    }
}

/// More concurrent commits than connections would only wait.
const MAX_COMMIT_WRITERS: usize = 100;

/// A larger batch delays its callers more than it saves.
const MAX_COMMIT_BATCH: usize = 1_000;

/// An order in the queue costs some KiB; a queue of seconds at any rate of a database.
const MAX_COMMIT_QUEUE: usize = 1_000_000;

impl Configuration for Config {
    fn read(settings: &mut Settings<'_>) -> Self {
        let service = env!("CARGO_PKG_NAME");
        let grpc = GrpcConfig::read(settings, "127.0.0.1:50051");
        let auth = AuthConfig::read(settings);
        let rate_limit = CustomerRateLimitConfig::read(settings);
        let kafka = KafkaConfig::read(settings, service, &NEEDED);
        let owner = Owner::new(service, kafka.prefix.as_str());
        Self {
            grpc,
            auth,
            rate_limit,
            database: DatabaseConfig::read(settings, "sqlite://order-service.db", owner),
            kafka,
            topics: TopicsConfig::read(settings),
            retry_policy: RetryPolicy::read(settings),
            retention: RetentionConfig::read(settings),
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
    let max_batch = settings.value("COMMIT_MAX_BATCH", "200", "maximum orders per commit");
    let queue = settings.value(
        "COMMIT_QUEUE",
        "4096",
        "maximum orders that wait for their commit; more are refused with RESOURCE_EXHAUSTED",
    );
    require_range(settings, "COMMIT_MAX_BATCH", max_batch, MAX_COMMIT_BATCH);
    let why = format_args!("must be COMMIT_MAX_BATCH to {MAX_COMMIT_QUEUE}");
    let is_valid = (max_batch..=MAX_COMMIT_QUEUE).contains(&queue);
    settings.require(is_valid, "COMMIT_QUEUE", why);
    let writers = settings.value(
        "COMMIT_WRITERS",
        "1",
        "maximum concurrent commits of new orders, each on its own connection; more make the batches smaller, which only helps with a high latency to the database",
    );
    require_range(settings, "COMMIT_WRITERS", writers, MAX_COMMIT_WRITERS);
    GroupCommitConfig {
        max_batch,
        queue,
        writers,
    }
}

fn require_range(settings: &mut Settings<'_>, name: &'static str, value: usize, max: usize) {
    let why = format_args!("must be 1 to {max}");
    settings.require((1..=max).contains(&value), name, why);
}

fn read_watch_streams(settings: &mut Settings<'_>) -> usize {
    let streams = settings.value(
        "WATCH_STREAMS",
        "4096",
        "maximum open WatchOrder streams; more are refused with RESOURCE_EXHAUSTED",
    );
    let is_valid = streams <= OPEN_STREAMS;
    settings.require(
        is_valid,
        "WATCH_STREAMS",
        "must be at most 16384, as many as a server opens",
    );
    streams
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
    fn the_defaults_are_valid_and_local() {
        let config = config(&[]).unwrap();

        assert_eq!(config.grpc.listen, "127.0.0.1:50051".parse().unwrap());
        assert_eq!(config.database.url.expose(), "sqlite://order-service.db");
        assert_eq!(config.kafka.brokers, "127.0.0.1:9092");
        assert_eq!(config.shutdown.grace, Duration::from_secs(25));
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let error = config(&[
            ("GRPC_LISTEN", "everywhere"),
            ("DATABASE_URL", "oracle://"),
            ("COMMIT_MAX_BATCH", "0"),
            ("COMMIT_QUEUE", "-1"),
            ("AVAILABILITY_CHECK", "sometimes"),
            ("AVAILABILITY_TIMEOUT", "6s"),
            ("AVAILABILITY_MAX_AGE", "61s"),
            ("WATCH_STREAMS", "16385"),
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
                "AVAILABILITY_MAX_AGE",
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
