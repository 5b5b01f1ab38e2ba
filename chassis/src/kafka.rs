//! How this system talks to Kafka: every librdkafka property, each with the guarantee that it buys.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::Settings;

/// Where Kafka is.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` separated by commas.
    pub brokers: String,
    /// How long a broker may hold a fetch that finds nothing.
    pub fetch_wait: Duration,
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
        }
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
            .set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// A producer that neither loses nor reorders what it is given.
    pub(crate) fn producer(&self) -> ClientConfig {
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
    pub(crate) fn dead_letter_producer(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("message.timeout.ms", "30000");
        config
    }

    /// A consumer that commits nothing but what its application completed.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", group)
            // The newer protocol stalls with librdkafka 2.12 (fixed in 2.15).
            .set("group.protocol", "classic")
            // A member that joins or leaves stops only the partitions that move.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // A dead member's partitions move on after this long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000")
            // The poll thread does no work of its own, so this only catches a thread that hangs.
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
            .set("fetch.error.backoff.ms", "100");
        config
    }
}

/// Passes what librdkafka reports on to the log.
#[derive(Debug, Default)]
pub(crate) struct LogContext {
    errors: ErrorLog,
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

/// One line of librdkafka's own log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => {
            // A broker that is away is an error to librdkafka; to this system it is weather.
            tracing::warn!(facility, detail = message, "kafka client reports an error");
        }
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::info!(facility, detail = message, "kafka client notice");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(facility, detail = message, "kafka client detail");
        }
    }
}

/// The log of one client's errors. While a broker is away librdkafka repeats the same error many times a second: one
/// line says it, and another follows when it changes or after [`ErrorLog::SILENCE`].
#[derive(Debug, Default)]
pub(crate) struct ErrorLog {
    last: Mutex<Option<Repetition>>,
}

#[derive(Debug)]
struct Repetition {
    code: Option<RDKafkaErrorCode>,
    logged_at: Instant,
    suppressed: u64,
}

impl ErrorLog {
    const SILENCE: Duration = Duration::from_secs(30);

    /// Logs an error unless it was logged a moment ago.
    pub(crate) fn report(&self, error: &KafkaError, reason: &str) {
        if let Some(suppressed) = self.admit(error.rdkafka_error_code(), Instant::now()) {
            tracing::warn!(error = %error, detail = reason, suppressed, "kafka client error");
        }
    }

    /// How many of its like were suppressed before this error; `None` if it is suppressed itself.
    fn admit(&self, code: Option<RDKafkaErrorCode>, now: Instant) -> Option<u64> {
        // Whole after every statement: a panic elsewhere does not spoil it.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let suppressed = match last.as_mut().filter(|last| last.code == code) {
            Some(same) if now < same.logged_at + Self::SILENCE => {
                same.suppressed += 1;
                return None;
            }
            Some(same) => same.suppressed,
            None => 0,
        };
        *last = Some(Repetition {
            code,
            logged_at: now,
            suppressed: 0,
        });
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_repeats_itself_is_logged_once_until_it_changes_or_time_passes() {
        let log = ErrorLog::default();
        let away = Some(RDKafkaErrorCode::AllBrokersDown);
        let slow = Some(RDKafkaErrorCode::RequestTimedOut);
        let now = Instant::now();

        assert_eq!(log.admit(away, now), Some(0));
        assert_eq!(log.admit(away, now), None);
        assert_eq!(log.admit(away, now), None);
        assert_eq!(log.admit(away, now + ErrorLog::SILENCE), Some(2));
        assert_eq!(log.admit(slow, now + ErrorLog::SILENCE), Some(0));
    }
}
