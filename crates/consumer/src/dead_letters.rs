//! The dead-letter topic: the record unchanged, with headers that say where it came from and why it failed.
//!
//! A dead letter that the broker can never take, because it is too large or not valid on that topic, is not retried: it would
//! hold its offset for ever. The record is then only in the retry store, with the class [`FaultClass::Unpublished`].

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{FutureProducer, FutureRecord};

use opentelemetry::Context;

use crate::config::ConsumerConfig;
use crate::handler::BoxError;
use crate::instrumentation::ConsumerTelemetry;
use crate::retry_store::{Fault, FaultClass};
use kafka::headers::{Headers, write_native};
use kafka::record::Record;
use kafka::{KafkaConfig, LogContext, Outgoing, SendTelemetry, is_permanent};
use service::crash_points::{CrashPoint, reach};
use telemetry::propagation;

/// Prefix of the headers added here; those of the original record stay in front of them.
const PREFIX: &str = "x-dlq-";

/// Timeout for a full producer queue; the caller retries.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes dead letters and counts them. One per consumer.
pub(crate) struct DeadLetterSink {
    producer: FutureProducer<LogContext>,
    sends: SendTelemetry,
    telemetry: Arc<ConsumerTelemetry>,
}

impl DeadLetterSink {
    pub(crate) fn new(
        kafka: &KafkaConfig,
        telemetry: Arc<ConsumerTelemetry>,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: kafka
                .dead_letter_producer()
                .create_with_context(LogContext::default())?,
            sends: SendTelemetry::new(kafka),
            telemetry,
        })
    }

    /// Publishes the record; done when the broker has acknowledged it, or refused it permanently. Returns the fault to be
    /// stored with the record.
    pub(crate) async fn publish(
        &self,
        record: &Record,
        fault: &Fault,
        redrives: u32,
    ) -> Result<Fault, BoxError> {
        reach(CrashPoint::BeforeDeadLetter)?;
        let own = record.headers.to_vec();
        let headers = headers(self.telemetry.config(), record, &own, fault, redrives);
        let fault = match self.send(record, &own, headers).await {
            Ok(()) => fault.clone(),
            Err(error) if is_permanent(&error) => unpublished(record, fault, &error),
            Err(error) => return Err(error.into()),
        };
        self.telemetry.dead_letter(fault.class);
        reach(CrashPoint::AfterDeadLetter)?;
        Ok(fault)
    }

    async fn send(
        &self,
        record: &Record,
        own: &Headers,
        headers: OwnedHeaders,
    ) -> Result<(), KafkaError> {
        let topic = &*self.telemetry.config().dead_letter_topic;
        let mut letter = FutureRecord::to(topic).headers(headers);
        // Key and value may be missing, and then stay so.
        letter.key = record.key.as_deref();
        letter.payload = record.payload.as_deref();
        let outgoing = Outgoing {
            topic,
            key: record.key.as_deref(),
            headers: own,
        };
        // The span is a child of the current one; the record keeps its own trace header.
        let decided = propagation::of_event(own);
        let observed = self.sends.begin(outgoing, &Context::current(), &decided);
        let sent = self.producer.send::<[u8], [u8], _>(letter, QUEUE_TIMEOUT);
        match sent.await {
            Ok(place) => {
                observed.acknowledged(place.partition, place.offset);
                Ok(())
            }
            Err((error, _)) => {
                observed.failed(&error);
                Err(error)
            }
        }
    }
}

/// The fault of a record whose dead letter is refused permanently.
fn unpublished(record: &Record, fault: &Fault, error: &KafkaError) -> Fault {
    tracing::error!(
        topic = record.topic,
        partition = record.partition,
        offset = record.offset,
        bytes = record.payload.as_ref().map(Vec::len),
        %error,
        "dead letter refused permanently, event kept in the retry store only"
    );
    let (class, message) = (fault.class.name(), &fault.message);
    Fault {
        class: FaultClass::Unpublished,
        message: format!("not on the dead-letter topic ({error}); {class}: {message}"),
        ..fault.clone()
    }
}

/// Origin, fault and reporter of the record. Times are unix milliseconds.
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
        ("consumer-group", config.group.to_string()),
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

/// The headers of the record, unchanged, then its provenance.
fn headers(
    config: &ConsumerConfig,
    record: &Record,
    own: &Headers,
    fault: &Fault,
    redrives: u32,
) -> OwnedHeaders {
    // A record that was republished from the dead-letter topic and fails again keeps only its latest provenance: it must
    // not grow with each round.
    let kept = own
        .iter()
        .filter(|(name, _)| !name.starts_with(PREFIX.as_bytes()));
    let added = provenance(config, record, fault, redrives).map(|(name, value)| {
        (
            format!("{PREFIX}{name}").into_bytes(),
            Some(value.into_bytes()),
        )
    });
    write_native(kept.chain(&added))
}
