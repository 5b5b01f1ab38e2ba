//! The dead-letter topic: the record as it was, and where it came from.

use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use opentelemetry::Context;

use super::ConsumerConfig;
use crate::retry_store::Fault;
use kafka::record::Record;
use kafka::{KafkaConfig, LogContext, ObservedSend, Outgoing, SendTelemetry};
use telemetry::propagation;

/// Every header that this module adds begins so; those of the original record are kept in front of them.
const PREFIX: &str = "x-dlq-";

/// A full queue of dead letters is waited for no longer than this; the caller tries again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes what a consumer had to set aside.
pub(super) struct DeadLetters {
    producer: FutureProducer<LogContext>,
    telemetry: SendTelemetry,
    config: ConsumerConfig,
}

impl DeadLetters {
    pub(super) fn new(kafka: &KafkaConfig, config: &ConsumerConfig) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: kafka
                .dead_letter_producer()
                .create_with_context(LogContext::default())?,
            telemetry: SendTelemetry::new(kafka),
            config: *config,
        })
    }

    /// Publishes the record and waits until the broker has it.
    pub(super) async fn publish(
        &self,
        record: &Record,
        fault: &Fault,
        redrives: u32,
    ) -> Result<(), KafkaError> {
        let provenance = provenance(&self.config, record, fault, redrives);
        let mut letter =
            FutureRecord::to(self.config.dead_letter_topic).headers(headers(record, &provenance));
        // The key may be missing, as may the value: both stay as they were.
        letter.key = record.key.as_deref();
        letter.payload = record.payload.as_deref();
        let observed = self.observe(record);
        let sent = self.producer.send::<[u8], [u8], _>(letter, QUEUE_TIMEOUT);
        match sent.await {
            Ok(place) => observed.acknowledged(place.partition, place.offset),
            Err((error, _)) => {
                observed.failed(&error);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A part of what is done about the record; its own context stays in its header.
    fn observe(&self, record: &Record) -> ObservedSend {
        let letter = Outgoing {
            topic: self.config.dead_letter_topic,
            key: record.key.as_deref(),
            headers: &record.headers,
        };
        let decided = propagation::of_event(&record.headers);
        self.telemetry.begin(letter, &Context::current(), &decided)
    }
}

/// Where the record came from, what was wrong with it, and who says so. Times are unix milliseconds.
fn provenance(
    config: &ConsumerConfig,
    record: &Record,
    fault: &Fault,
    redrives: u32,
) -> [(&'static str, String); 13] {
    let timestamp = record.timestamp_ms.unwrap_or_default();
    [
        ("original-topic", record.topic.clone()),
        ("original-partition", record.partition.to_string()),
        ("original-offset", record.offset.to_string()),
        ("original-timestamp", timestamp.to_string()),
        ("consumer-group", config.group.to_owned()),
        ("error-class", fault.class.name().to_owned()),
        ("reason", fault.message.clone()),
        ("attempts", fault.attempts.to_string()),
        ("first-failed-at", fault.first_failed_at.to_string()),
        ("last-failed-at", fault.last_failed_at.to_string()),
        ("redrives", redrives.to_string()),
        ("service", config.service.to_owned()),
        ("service-version", config.version.to_owned()),
    ]
}

/// The record's own headers, untouched and in front, and then its provenance.
fn headers(record: &Record, provenance: &[(&str, String)]) -> OwnedHeaders {
    // A record that was republished from the dead letters and fails again keeps only its latest provenance: it must not
    // grow with each round.
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
