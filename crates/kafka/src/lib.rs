//! How this system talks to Kafka: every librdkafka property, each with the guarantee that it buys.

use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use service::config::Settings;

pub mod headers;
mod log;
pub mod record;
mod security;
pub mod topics;

mod instrumentation;
mod sending;

pub use security::{ClientCertificate, Mechanism, Password, Protocol, Sasl, Security};

pub use instrumentation::{Operation, bounded_text, error_type, server};
pub use log::{ErrorLog, LogContext, log};
pub use sending::{ObservedSend, Outgoing, SendTelemetry};

/// Where Kafka is, and how to talk to it.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// How long a broker may hold a fetch that finds nothing.
    pub fetch_wait: Duration,
    /// Encryption and credentials.
    pub security: Security,
    /// Time limits of a group's member.
    pub group: GroupTimeouts,
}

/// Time limits of a member of a consumer group. No settings: they stand in relation to each other.
#[derive(Clone, Copy, Debug)]
pub struct GroupTimeouts {
    /// A dead member's partitions move on after this long. Brokers accept 6 s and more
    /// (`group.min.session.timeout.ms`).
    pub session: Duration,
    /// How long handlers may finish what they have begun when their partition is revoked. Nobody works on the partition
    /// meanwhile, so it stays below the time that a crash of this member would cost.
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
    /// Reads the settings that every Kafka client shares.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            brokers: settings.value(
                "KAFKA_BROKERS",
                "127.0.0.1:9092",
                "Kafka bootstrap servers, `host:port` separated by commas",
            ),
            fetch_wait: settings.value(
                "KAFKA_FETCH_WAIT",
                "500ms",
                "how long a broker may hold a fetch that finds nothing; Apache Kafka answers at once when there is something",
            ),
            security: Security::read(settings),
            group: GroupTimeouts::default(),
        }
    }

    /// Brokers that ask for nothing: no encryption, no credentials.
    pub fn plaintext(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            fetch_wait: Duration::from_millis(500),
            security: Security::default(),
            group: GroupTimeouts::default(),
        }
    }

    /// Host and port of the first bootstrap server.
    pub fn first_broker(&self) -> (&str, Option<u16>) {
        let first = self.brokers.split(',').next().unwrap_or_default().trim();
        // librdkafka takes a protocol in front.
        let first = first.split_once("://").map_or(first, |(_, server)| server);
        let port = first.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            Some((host, port))
        });
        let (host, port) = port.map_or((first, None), |(host, port)| (host, Some(port)));
        (host.trim_matches(['[', ']']), port)
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // A half-open connection is noticed although nothing is sent on it.
            .set("socket.keepalive.enable", "true")
            // A broker that comes back is used again within two seconds.
            .set("reconnect.backoff.max.ms", "2000")
            // Topics have owners and settings: a typing error must not create one.
            .set("allow.auto.create.topics", "false")
            // A request to a broker that hangs fails in bounded time.
            .set("socket.timeout.ms", "15000")
            // So does the way to a host that is gone: TCP, TLS and SASL together.
            .set("socket.connection.setup.timeout.ms", "10000")
            // A topic that gets more partitions, or is created after all, is noticed within a minute.
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set_log_level(RDKafkaLogLevel::Info);
        self.security.apply(&mut config);
        config
    }

    /// A client that looks at the cluster and takes part in nothing.
    pub fn observer(&self) -> ClientConfig {
        self.client()
    }

    /// A producer that neither loses nor reorders what it is given.
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // No duplicates and no reordering by the producer's own retries; implies acks=all.
            .set("enable.idempotence", "true")
            // The database is the buffer: a message waits for the broker as long as it takes.
            .set("message.timeout.ms", "0")
            // The relay hands over whole batches: a longer wait would only add latency, none would cost CPU.
            .set("linger.ms", "1")
            .set("batch.size", "1000000")
            // Twice the relay's window, so that a full queue is never the limit.
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("compression.type", "lz4")
            // The partitioner of the Java clients, so that every producer agrees on where a key lives.
            .set("partitioner", "murmur2_random")
            .set("request.timeout.ms", "10000")
            // A topic that is not there is reported after this long.
            .set("topic.metadata.propagation.max.ms", "5000");
        config
    }

    /// A producer for dead letters: few, each awaited, and failing in bounded time so that its caller can decide.
    pub fn dead_letter_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("message.timeout.ms", "30000");
        config
    }

    /// A consumer that commits nothing but what its application completed.
    pub fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            // The newer protocol stalls with librdkafka 2.12 (fixed in 2.15).
            .set("group.protocol", "classic")
            // A member that joins or leaves takes only the partitions that move out of work.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A dead member's partitions move on after this long; one lost heartbeat or two do not count as death.
            .set(
                "session.timeout.ms",
                self.group.session.as_millis().to_string(),
            )
            .set(
                "heartbeat.interval.ms",
                (self.group.session / 4).as_millis().to_string(),
            )
            // The poll thread does no work of its own, so this only catches a thread that hangs. It is also how long a
            // rebalance waits for a member; one that is alive answers with its next heartbeat.
            .set("max.poll.interval.ms", "300000")
            // Offsets are committed once the effect is durable; automatic commits come before it.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A new group begins at the beginning: `latest` would skip what was published before the first start.
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            // Return at once when there is something, else wait at the broker.
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", self.fetch_wait.as_millis().to_string())
            // Per partition: memory is bounded by partitions times this.
            .set("queued.max.messages.kbytes", "4096")
            .set("queued.min.messages", "2000")
            // A full local queue is looked at again after 20 ms instead of a second.
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            // The ends of the partitions, for the lag. They are known from fetching: no request is made for them.
            .set("statistics.interval.ms", "5000");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafka_knows_every_property_that_is_set() {
        let kafka = KafkaConfig::plaintext("127.0.0.1:1");

        for config in [
            kafka.observer(),
            kafka.producer(),
            kafka.dead_letter_producer(),
            kafka.consumer("group"),
        ] {
            config.create_native_config().unwrap();
        }
    }

    #[test]
    fn handlers_may_finish_while_the_session_lasts() {
        let group = GroupTimeouts::default();

        assert!(group.drain < group.session);
    }
}
