//! The settings that all Kafka clients of a process share. [`crate::properties`] turns them into librdkafka properties.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{TopicPrefix, client_id};
use crate::security::Security;
use service::config::{FromSetting, Settings};

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
        let brokers = read_brokers(settings);
        let prefix = TopicPrefix::read(settings, topics);
        Self {
            brokers,
            client_id: client_id(&prefix, service),
            prefix,
            fetch_wait: read_fetch_wait(settings),
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

fn read_brokers(settings: &mut Settings<'_>) -> String {
    let Brokers(brokers) = settings.value(
        "KAFKA_BROKERS",
        "127.0.0.1:9092",
        "Kafka bootstrap servers, `host:port` separated by commas",
    );
    brokers
}

/// librdkafka accepts no consumer whose fetch may take as long as a request ([`crate::properties`]).
const MAX_FETCH_WAIT: Duration = Duration::from_secs(10);

fn read_fetch_wait(settings: &mut Settings<'_>) -> Duration {
    let fetch_wait = settings.value(
        "KAFKA_FETCH_WAIT",
        "500ms",
        "how long a broker may hold a fetch that finds no records, at most 10s; Apache Kafka answers at once when there are some",
    );
    let is_valid = fetch_wait <= MAX_FETCH_WAIT;
    settings.require(is_valid, "KAFKA_FETCH_WAIT", "must be at most 10s");
    fetch_wait
}

/// At least one server. librdkafka skips what it does not understand, and without a server it waits for ever.
struct Brokers(String);

impl FromSetting for Brokers {
    fn from_setting(text: &str) -> Result<Self, String> {
        let servers: Vec<_> = text.split(',').map(str::trim).collect();
        if servers.iter().all(|server| is_server(server)) {
            return Ok(Self(servers.join(",")));
        }
        Err("servers such as kafka-1:9092,kafka-2:9092".to_owned())
    }
}

/// `host`, `host:port` or `protocol://host:port`, as librdkafka accepts it; an IPv6 address is in brackets.
fn is_server(server: &str) -> bool {
    let (protocol, server) = server.split_once("://").unwrap_or(("", server));
    let is_protocol = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !server.ends_with(']') => (host, Some(port)),
        _ => (server, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    is_protocol(protocol) && is_host(host) && port.is_none_or(is_port)
}

fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_a_server_or_with_a_malformed_one_is_refused() {
        for text in [
            ",",
            "",
            "kafka:9092,",
            "kafka:0",
            "kafka:99999",
            "kafka:port",
            ":9092",
            "kafka;9092",
            "http://kafka/path",
            "[::1:9092",
            "::1:9092",
            "b\u{fc}cher:9092",
        ] {
            assert!(Brokers::from_setting(text).is_err(), "{text}");
        }
        for (text, expected) in [
            ("kafka:9092", "kafka:9092"),
            ("kafka-1 , kafka_2:1", "kafka-1,kafka_2:1"),
            ("SASL_SSL://10.0.0.1:9092", "SASL_SSL://10.0.0.1:9092"),
            ("[::1]:9092,[::1]", "[::1]:9092,[::1]"),
        ] {
            let Brokers(brokers) = Brokers::from_setting(text).unwrap();
            assert_eq!(brokers, expected);
        }
    }

    #[test]
    fn handlers_in_flight_have_less_time_than_the_session() {
        let group = GroupTimeouts::default();

        assert!(group.drain < group.session);
    }
}
