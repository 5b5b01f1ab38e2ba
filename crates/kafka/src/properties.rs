//! Every librdkafka property that this system sets, each with the guarantee that it provides.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use crate::config::KafkaConfig;

/// Largest record that the producers send: key, value and headers, not compressed. A topic's limit counts compressed bytes,
/// so this is sixteen times the default of one (1,048,588). With one record of more than `queue.buffering.max.kbytes` the queue
/// would be full for ever.
pub const MAX_RECORD_BYTES: u32 = 16 * 1024 * 1024;

/// Largest batch of several records, not compressed.
pub(crate) const BATCH_BYTES: u32 = 1_000_000;

impl KafkaConfig {
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            // Brokers name the service and the replica in their logs, metrics and quotas.
            .set("client.id", &self.client_id)
            // Detects a half-open connection although nothing is sent on it.
            .set("socket.keepalive.enable", "true")
            // Reconnects within two seconds to a broker that is available again.
            .set("reconnect.backoff.max.ms", "2000")
            // Prevents a misspelled name from creating a topic without an owner and settings.
            .set("allow.auto.create.topics", "false")
            // Bounds a request to a broker that hangs.
            .set("socket.timeout.ms", "15000")
            // Bounds connecting to a host that is gone: TCP, TLS and SASL together.
            .set("socket.connection.setup.timeout.ms", "10000")
            // Finds added partitions and late topics within a minute.
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set_log_level(RDKafkaLogLevel::Info);
        self.security.apply(&mut config);
        config
    }

    /// A client that only reads metadata: it produces nothing and joins no group.
    pub fn observer(&self) -> ClientConfig {
        self.client()
    }

    /// A producer that neither loses nor reorders records.
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            // No duplicates and no reordering by the producer's own retries; implies acks=all.
            .set("enable.idempotence", "true")
            // No timeout: the outbox is the buffer, and a record waits until the broker is available.
            .set("message.timeout.ms", "0")
            // The relay sends whole batches: a longer wait only adds latency, no wait costs CPU.
            .set("linger.ms", "1")
            // Below the limit of a topic: the broker would refuse a larger batch although each record of it fits.
            .set("batch.size", BATCH_BYTES.to_string())
            // The default of 1,000,000 is below the limit of a topic: a dead letter could never be sent.
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            // Twice the relay's window, so that the queue is never full.
            .set("queue.buffering.max.messages", "20000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("compression.type", "lz4")
            // The partitioner of the Java clients, so that all producers send a key to the same partition.
            .set("partitioner", "murmur2_random")
            .set("request.timeout.ms", "10000")
            // A missing topic is reported after 5 s.
            .set("topic.metadata.propagation.max.ms", "5000");
        config
    }

    /// A producer for dead letters: few, each awaited, and with a timeout so that the caller can retry.
    pub fn dead_letter_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("message.timeout.ms", "30000");
        config
    }

    /// A consumer that commits only the offsets that its application completed.
    pub fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            // The newer protocol stalls with librdkafka 2.12 (fixed in 2.15).
            .set("group.protocol", "classic")
            // A join or a leave interrupts only the partitions that move.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A member is dead after this time without a heartbeat: four intervals, so one or two may be lost.
            .set(
                "session.timeout.ms",
                self.group.session.as_millis().to_string(),
            )
            .set(
                "heartbeat.interval.ms",
                (self.group.session / 4).as_millis().to_string(),
            )
            // Detects a poll thread that hangs: it does no other work. Also the time that a rebalance waits for a member; a
            // live member answers with its next heartbeat.
            .set("max.poll.interval.ms", "300000")
            // Offsets are committed after the effect is durable; automatic commits would come before it.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A new group starts at the beginning: `latest` would skip records published before its first start.
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            // A fetch returns at once when there are records, else the broker holds it. More bytes would make larger
            // batches, but delay a lone record by the whole wait: batches grow on the producers' side.
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", self.fetch_wait.as_millis().to_string())
            // Per partition, so memory is bounded to this times the number of partitions, and once more for the fetch that
            // passes it (`max.partition.fetch.bytes`, 1 MiB). Events of this system have some 700 bytes.
            .set("queued.max.messages.kbytes", "1024")
            // Never reached before the bytes: fetching goes on in large batches while a backlog is read.
            .set("queued.min.messages", "10000")
            // A full local queue is checked again after 20 ms instead of 1 s.
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            // The end offsets of the partitions, for the lag. Known from fetching, without extra requests.
            .set("statistics.interval.ms", "5000");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_of_a_producer_has_room_for_the_largest_record() {
        let producer = KafkaConfig::plaintext("127.0.0.1:1").dead_letter_producer();
        let queue = producer.get("queue.buffering.max.kbytes").unwrap();

        assert!(u64::from(MAX_RECORD_BYTES) < 1024 * queue.parse::<u64>().unwrap());
    }

    #[test]
    fn every_client_names_its_service_and_replica_to_the_brokers() {
        let kafka = KafkaConfig {
            client_id: "shop-a.order-service.pod-1".to_owned(),
            ..KafkaConfig::plaintext("127.0.0.1:1")
        };

        for config in [
            kafka.observer(),
            kafka.producer(),
            kafka.dead_letter_producer(),
            kafka.consumer("group"),
        ] {
            assert_eq!(config.get("client.id"), Some("shop-a.order-service.pod-1"));
        }
    }

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
}
