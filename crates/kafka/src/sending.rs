//! The span and the measurement of each message that goes out, from its way into the producer to the broker's answer.
//!
//! The message has a creation context already, that of the span that decided it. It stays in the header, untouched; the
//! span of the sending links to it ("Semantic conventions for messaging spans", custom creation context).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt};
use rdkafka::Message;
use rdkafka::error::KafkaError;

use super::KafkaConfig;
use super::instrumentation::{Operation, bounded_text, error_type, server};
use crate::headers::{self, Headers};
use telemetry::instruments::{Counter, Histogram};
use telemetry::names::{attributes as attr, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// Topics that metrics tell apart. The rows of an outbox name their topics: more than the services have can only come
/// from damage, and must not become time series.
const MAX_TOPICS: usize = 32;

/// What all other topics are called.
const OTHER: &str = "_OTHER";

/// Watches what one producer sends, or several that take turns.
#[derive(Debug)]
pub struct SendTelemetry {
    server: Labels,
    durations: Histogram,
    sent: Counter,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    other: Arc<Topic>,
}

/// What metrics say of a topic, made once.
#[derive(Debug)]
struct Topic {
    durations: Histogram,
    sent: Counter,
    duration_labels: Labels,
    sent_labels: Labels,
}

/// A message that is to be sent.
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
            other: Arc::new(Topic::new(OTHER, &durations, &sent)),
            durations,
            sent,
            topics: Mutex::default(),
        }
    }

    /// The message goes to the producer, as a part of `whole`; `decided` is its creation context.
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
        if let Some(id) = headers::text(message.headers, "ce_id") {
            span.set(&attr::MESSAGING_MESSAGE_ID, id.to_owned());
        }
    }

    fn topic(&self, name: &str) -> Arc<Topic> {
        // Whole after every operation: a panic elsewhere does not spoil it.
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(name) {
            return Arc::clone(known);
        }
        if topics.len() >= MAX_TOPICS {
            return Arc::clone(&self.other);
        }
        let topic = Arc::new(Topic::new(name, &self.durations, &self.sent));
        topics.insert(name.to_owned(), Arc::clone(&topic));
        topic
    }
}

impl Topic {
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

/// A message on its way to the broker.
#[derive(Debug)]
pub struct ObservedSend {
    span: Span,
    topic: Arc<Topic>,
    began: Instant,
}

impl ObservedSend {
    /// The broker has it.
    pub fn acknowledged(self, partition: i32, offset: i64) {
        self.show_place(partition, offset);
        self.measure(&self.topic.duration_labels, &self.topic.sent_labels);
    }

    /// The broker does not have it, or nobody knows whether it has.
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

    /// As far as the delivery report knows where it is, or was to be.
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
        // Negative: not known.
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
