//! The span and the measurements of each sent message, from the producer to the broker's acknowledgement.
//!
//! A message already has a creation context, that of the span that created the event. The header keeps it unchanged; the
//! send span links to it ("Semantic conventions for messaging spans", custom creation context).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt};
use rdkafka::Message;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::KafkaConfig;
use crate::headers::{self, Headers};
use crate::instrumentation::{Operation, bounded_text, error_type, server};
use telemetry::instruments::{Counter, Histogram};
use telemetry::names::{attributes as attr, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// Maximum number of topics with their own labels. The rows of an outbox name their topics: damaged rows must not create
/// time series without bound.
const MAX_TOPICS: usize = 32;

/// The label of all other topics.
const OTHER: &str = "_OTHER";

/// The telemetry of one producer, or of several in succession.
#[derive(Debug)]
pub struct SendTelemetry {
    server: Labels,
    durations: Histogram,
    sent: Counter,
    topics: Mutex<HashMap<String, Arc<TopicMetrics>>>,
    other: Arc<TopicMetrics>,
}

/// The instruments and labels of one topic.
#[derive(Debug)]
struct TopicMetrics {
    durations: Histogram,
    sent: Counter,
    duration_labels: Labels,
    sent_labels: Labels,
}

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub key: Option<&'a [u8]>,
    pub headers: &'a Headers,
}

impl SendTelemetry {
    pub fn new(kafka: &KafkaConfig) -> Self {
        let durations = metrics::MESSAGING_CLIENT_OPERATION_DURATION.histogram();
        let sent = metrics::MESSAGING_CLIENT_SENT_MESSAGES.counter();
        Self {
            server: Labels::of(server(kafka)),
            other: Arc::new(TopicMetrics::new(OTHER, &durations, &sent)),
            durations,
            sent,
            topics: Mutex::default(),
        }
    }

    /// Begins a send as a part of `whole`; `decided` is the creation context of the message.
    pub fn begin(&self, message: Outgoing<'_>, whole: &Context, decided: &Context) -> ObservedSend {
        let decided = decided.span().span_context().clone();
        let link = decided
            .is_sampled()
            .then(|| Link::new(decided, Vec::new(), 0));
        let span = spans::SEND.part_of(Operation::Send.of(message.topic), whole, link);
        self.describe(&span, message);
        ObservedSend {
            span,
            topic: self.topic(message.topic),
            began: Instant::now(),
        }
    }

    fn describe(&self, span: &Span, message: Outgoing<'_>) {
        if !span.is_recording() {
            return;
        }
        span.describe_as(&Operation::Send.full_labels(&Arc::from(message.topic)));
        span.describe_as(&self.server);
        if let Some(key) = message.key.and_then(bounded_text) {
            span.set(&attr::MESSAGING_KAFKA_MESSAGE_KEY, key);
        }
        let id = headers::text(message.headers, "ce_id");
        if let Some(id) = id.and_then(|id| bounded_text(id.as_bytes())) {
            span.set(&attr::MESSAGING_MESSAGE_ID, id);
        }
    }

    fn topic(&self, name: &str) -> Arc<TopicMetrics> {
        // Consistent after every operation, so a poisoned lock is usable.
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(name) {
            return Arc::clone(known);
        }
        if topics.len() >= MAX_TOPICS {
            return Arc::clone(&self.other);
        }
        let topic = Arc::new(TopicMetrics::new(name, &self.durations, &self.sent));
        topics.insert(name.to_owned(), Arc::clone(&topic));
        topic
    }
}

impl TopicMetrics {
    fn new(name: &str, durations: &Histogram, sent: &Counter) -> Self {
        let name = Arc::from(name);
        Self {
            durations: durations.clone(),
            sent: sent.clone(),
            duration_labels: Operation::Send.full_labels(&name),
            sent_labels: Operation::Send.labels(&name),
        }
    }
}

/// Whether this message can never be sent, whatever the state of the broker: another attempt fails in the same way until the
/// topic or the limits are changed.
pub fn is_permanent(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                // For example without a key on a compacted topic.
                | RDKafkaErrorCode::InvalidRecord
        )
    )
}

/// A message in flight.
#[derive(Debug)]
pub struct ObservedSend {
    span: Span,
    topic: Arc<TopicMetrics>,
    began: Instant,
}

impl ObservedSend {
    /// The broker has the message.
    pub fn acknowledged(self, partition: i32, offset: i64) {
        self.show_place(partition, offset);
        self.measure(&self.topic.duration_labels, &self.topic.sent_labels);
    }

    /// The broker rejected the message, or its outcome is unknown.
    pub fn failed(self, error: &KafkaError) {
        let error = error_type(error);
        self.span.describe_as(&Labels::of([error.clone()]));
        self.span.mark_failed();
        let topic = &self.topic;
        self.measure(
            &topic.duration_labels.and(error.clone()),
            &topic.sent_labels.and(error),
        );
    }

    /// Ends with a delivery report: [`Self::acknowledged`] or [`Self::failed`], with partition and offset if known.
    pub fn reported<M: Message>(self, report: &Result<M, (KafkaError, M)>) {
        match report {
            Ok(message) => self.acknowledged(message.partition(), message.offset()),
            Err((error, message)) => {
                self.show_place(message.partition(), message.offset());
                self.failed(error);
            }
        }
    }

    fn show_place(&self, partition: i32, offset: i64) {
        // Negative if unknown.
        if partition >= 0 && self.span.is_recording() {
            let partition = partition.to_string();
            self.span
                .set(&attr::MESSAGING_DESTINATION_PARTITION_ID, partition);
        }
        if offset >= 0 {
            self.span.set(&attr::MESSAGING_KAFKA_OFFSET, offset);
        }
    }

    fn measure(&self, duration_labels: &Labels, sent_labels: &Labels) {
        let topic = &self.topic;
        topic
            .durations
            .record_time(self.began.elapsed(), duration_labels);
        topic.sent.add(1, sent_labels);
    }
}

#[cfg(test)]
mod tests;
