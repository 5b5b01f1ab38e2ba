//! The settings that all Kafka clients of a process share. [`crate::properties`] turns them into librdkafka properties.

use std::sync::Arc;
use std::time::Duration;

use crate::names::{TopicPrefix, client_id};
use crate::security::Security;
use service::config::Settings;

/// The addresses of Kafka and the settings shared by all clients of a process.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// In front of topics, consumer groups and client ids.
    pub prefix: TopicPrefix,
    /// Names service and replica to the brokers.
    pub client_id: String,
    /// Limit for a broker to hold a fetch that finds no records.
    pub fetch_wait: Duration,
    /// Encryption and credentials.
    pub security: Security,
    /// Time limits of a consumer group member.
    pub group: GroupTimeouts,
}

/// Time limits of a member of a consumer group. Not settings, because `drain` must stay below `session`.
#[derive(Clone, Copy, Debug)]
pub struct GroupTimeouts {
    /// After this time without a heartbeat the partitions of a member are reassigned. Brokers accept 6 s and more
    /// (`group.min.session.timeout.ms`).
    pub session: Duration,
    /// Limit for handlers in flight when their partition is revoked. The partition has no owner meanwhile, so the limit stays
    /// below the time that a crash of this member would cost.
    pub drain: Duration,
}

impl Default for GroupTimeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(10),
            drain: Duration::from_secs(8),
        }
    }
}

impl KafkaConfig {
    /// Reads the settings that every Kafka client of a service shares. `topics` are all topics of the service, without prefix.
    pub fn read(settings: &mut Settings<'_>, service: &str, topics: &[&str]) -> Self {
        let brokers = settings.value(
            "KAFKA_BROKERS",
            "127.0.0.1:9092",
            "Kafka bootstrap servers, `host:port` separated by commas",
        );
        let prefix = TopicPrefix::read(settings, topics);
        Self {
            brokers,
            client_id: client_id(&prefix, service),
            prefix,
            fetch_wait: settings.value(
                "KAFKA_FETCH_WAIT",
                "500ms",
                "how long a broker may hold a fetch that finds no records; Apache Kafka answers at once when there are some",
            ),
            security: Security::read(settings),
            group: GroupTimeouts::default(),
        }
    }

    /// For brokers without encryption and credentials, and an installation without a prefix.
    pub fn plaintext(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: TopicPrefix::default(),
            // The default of librdkafka.
            client_id: "rdkafka".to_owned(),
            fetch_wait: Duration::from_millis(500),
            security: Security::default(),
            group: GroupTimeouts::default(),
        }
    }

    /// The name at Kafka of a topic or consumer group.
    pub fn name(&self, name: &str) -> Arc<str> {
        self.prefix.apply(name).into()
    }

    /// Host and port of the first bootstrap server.
    pub fn first_broker(&self) -> (&str, Option<u16>) {
        let first = self.brokers.split(',').next().unwrap_or_default().trim();
        // librdkafka accepts a protocol prefix.
        let first = first.split_once("://").map_or(first, |(_, server)| server);
        let port = first.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            Some((host, port))
        });
        let (host, port) = port.map_or((first, None), |(host, port)| (host, Some(port)));
        (host.trim_matches(['[', ']']), port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_in_flight_have_less_time_than_the_session() {
        let group = GroupTimeouts::default();

        assert!(group.drain < group.session);
    }
}
