//! The dead-letter topic: the record as it was, and where it came from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::ConsumerConfig;
use super::delivery::Record;
use crate::kafka::{KafkaConfig, LogContext};

/// Every header that this module adds begins so; those of the original record are kept in front of them.
const PREFIX: &str = "x-dlq-";

/// A reason is for a person to read: longer ones are cut.
const MAX_REASON: usize = 1_024;

/// A full queue of dead letters is waited for no longer than this; the caller tries again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes what a consumer had to set aside.
pub(super) struct DeadLetters {
    producer: FutureProducer<LogContext>,
    topic: &'static str,
    group: &'static str,
}

impl DeadLetters {
    pub(super) fn new(kafka: &KafkaConfig, config: &ConsumerConfig) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: kafka
                .dead_letter_producer()
                .create_with_context(LogContext::default())?,
            topic: config.dead_letter_topic,
            group: config.group,
        })
    }

    /// Publishes the record and waits until the broker has it.
    pub(super) async fn publish(
        &self,
        record: &Record,
        attempts: u32,
        reason: &str,
    ) -> Result<(), KafkaError> {
        let mut letter =
            FutureRecord::to(self.topic).headers(self.headers(record, attempts, reason));
        // The key may be missing, as may the value: both stay as they were.
        letter.key = record.key.as_deref();
        letter.payload = record.payload.as_deref();
        self.producer
            .send::<[u8], [u8], _>(letter, QUEUE_TIMEOUT)
            .await
            .map(|_| ())
            .map_err(|(error, _)| error)
    }

    fn headers(&self, record: &Record, attempts: u32, reason: &str) -> OwnedHeaders {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut reason = reason.to_owned();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        let provenance = [
            ("original-topic", record.topic.clone()),
            ("original-partition", record.partition.to_string()),
            ("original-offset", record.offset.to_string()),
            (
                "original-timestamp",
                record.timestamp_ms.unwrap_or_default().to_string(),
            ),
            ("consumer-group", self.group.to_owned()),
            ("attempts", attempts.to_string()),
            ("failed-at", now.as_millis().to_string()),
            ("reason", reason),
        ];
        // A redriven record that fails again keeps only its latest provenance: it must not grow with each round.
        let kept = record
            .headers
            .iter()
            .filter(|(name, _)| !name.starts_with(PREFIX));
        let headers = kept.fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
        provenance.iter().fold(headers, |headers, (name, value)| {
            headers.insert(Header {
                key: &format!("{PREFIX}{name}"),
                value: Some(value),
            })
        })
    }
}
