//! Spans and metrics of a consumer: polls, attempts, commits, retries, dead letters, rebalances, lag.
//!
//! The span of an attempt links to the span that created the event. By default it is also its child, so that one trace has
//! the whole life of an event; the semantic conventions allow that for messages that are handled one by one. With consumers
//! of other teams, or a wide fan-out, an attempt should start its own trace: [`TraceProcessing::Link`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt};
use rdkafka::error::KafkaError;

use crate::config::ConsumerConfig;
#[cfg(doc)]
use crate::config::TraceProcessing;
use crate::deleted_records::Jump;
use crate::handler::Delivery;
use crate::retry_store::FaultClass;
use kafka::record::Record;
use kafka::{KafkaConfig, Operation, bounded_text, error_type, server};
use telemetry::instruments::{Counter, Histogram};
use telemetry::names::{attributes as attr, metrics, spans};
use telemetry::propagation;
use telemetry::vocabulary::Labels;

mod attempt;
mod consumer_lag;

use attempt::ObservedAttempt;
use consumer_lag::ConsumerLag;

/// The telemetry of one consumer, over all its partition sessions.
#[derive(Debug)]
pub(crate) struct ConsumerTelemetry {
    config: ConsumerConfig,
    consumer_lag: Arc<ConsumerLag>,
    in_flight: Arc<AtomicU64>,
    operation_durations: Histogram,
    process_durations: Histogram,
    consumed: Counter,
    retries: Counter,
    dead_letters: Counter,
    deleted_unread: Counter,
    rebalances: Counter,
    labels: PreparedLabels,
}

/// Computed once, since they are used per record.
#[derive(Debug)]
struct PreparedLabels {
    poll: Labels,
    consumed: Labels,
    process: Labels,
    process_span: Labels,
    commit: Labels,
    server: Labels,
    own: Labels,
}

impl PreparedLabels {
    fn new(kafka: &KafkaConfig, config: &ConsumerConfig) -> Self {
        let topic = Arc::clone(&config.topic);
        let group = attr::MESSAGING_CONSUMER_GROUP_NAME.known(&config.group);
        let own = Labels::of([attr::MESSAGING_DESTINATION_NAME.known(&topic)]);
        let full = |operation: Operation| operation.full_labels(&topic).and(group.clone());
        let short = |operation: Operation| operation.labels(&topic).and(group.clone());
        Self {
            poll: full(Operation::Poll),
            consumed: short(Operation::Poll),
            process: short(Operation::Process),
            process_span: full(Operation::Process),
            commit: full(Operation::Commit),
            server: Labels::of(server(kafka)),
            own: own.and(group),
        }
    }
}

impl ConsumerTelemetry {
    /// Once per consumer: the registration of a gauge cannot be undone.
    pub(crate) fn new(kafka: &KafkaConfig, config: &ConsumerConfig) -> Self {
        let labels = PreparedLabels::new(kafka, config);
        let in_flight = Arc::<AtomicU64>::default();
        let (observed, own) = (Arc::clone(&in_flight), labels.own.clone());
        metrics::KAFKA_CONSUMER_IN_FLIGHT
            .observe(move || [(observed.load(Ordering::Relaxed), own.clone())]);
        Self {
            config: config.clone(),
            consumer_lag: ConsumerLag::new(Arc::clone(&config.topic), labels.own.clone()),
            in_flight,
            operation_durations: metrics::MESSAGING_CLIENT_OPERATION_DURATION.histogram(),
            process_durations: metrics::MESSAGING_PROCESS_DURATION.histogram(),
            consumed: metrics::MESSAGING_CLIENT_CONSUMED_MESSAGES.counter(),
            retries: metrics::KAFKA_CONSUMER_RETRIES.counter(),
            dead_letters: metrics::KAFKA_CONSUMER_DEAD_LETTERS.counter(),
            deleted_unread: metrics::KAFKA_CONSUMER_DELETED_UNREAD.counter(),
            rebalances: metrics::KAFKA_CONSUMER_REBALANCES.counter(),
            labels,
        }
    }

    pub(crate) fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    pub(crate) fn consumer_lag(&self) -> &ConsumerLag {
        &self.consumer_lag
    }

    /// A partition's task took these records from its queue. They were fetched before, so `took` does not include the
    /// network.
    pub(crate) fn polled(&self, records: &[Record], took: Duration) {
        let Some(first) = records.first() else {
            return;
        };
        self.received(records.len());
        self.operation_durations
            .record_time(took, &self.labels.poll);
        let name = Operation::Poll.of(&self.config.topic);
        let links = records.iter().filter_map(link_to);
        let span = spans::POLL.for_all_since(name, links, took);
        if !span.is_recording() {
            return;
        }
        span.describe_as(&self.labels.poll);
        span.describe_as(&self.labels.server);
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        span.set(&attr::MESSAGING_BATCH_MESSAGE_COUNT, count);
        let partition = first.partition.to_string();
        span.set(&attr::MESSAGING_DESTINATION_PARTITION_ID, partition);
    }

    pub(crate) fn received(&self, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.consumed.add(records, &self.labels.consumed);
    }

    /// An attempt begins; `trace` is the context of the span that created the event.
    pub(crate) fn attempt(&self, delivery: &Delivery, trace: &Context) -> ObservedAttempt<'_> {
        if delivery.attempt() > 1 {
            self.retries.add(1, &self.labels.own);
        }
        ObservedAttempt::new(self, delivery, trace)
    }

    /// Observes a commit. The duration of an asynchronous commit is that of enqueueing it.
    pub(crate) fn committing(
        &self,
        commit: impl FnOnce() -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let name = Operation::Commit.of(&self.config.topic);
        let span = spans::COMMIT.continuing(name, &Context::new(), Vec::new());
        span.describe_as(&self.labels.commit);
        span.describe_as(&self.labels.server);
        let began = Instant::now();
        let committed = span.within(commit);
        let mut labels = self.labels.commit.clone();
        if let Err(error) = &committed {
            let error = error_type(error);
            labels = labels.and(error.clone());
            span.describe_as(&Labels::of([error]));
            span.mark_failed();
        }
        self.operation_durations
            .record_time(began.elapsed(), &labels);
        committed
    }

    pub(crate) fn dead_letter(&self, class: FaultClass) {
        let fault = attr::FAULT.label(class.name());
        self.dead_letters.add(1, &self.labels.own.and(fault));
    }

    /// Records were deleted from the topic before they were read: the work that they announced is not done.
    pub(crate) fn deleted_unread(&self, partition: i32, deleted: &Jump) {
        tracing::error!(
            topic = &*self.config.topic,
            partition,
            records = deleted.end - deleted.start,
            first_offset = deleted.start,
            next_offset = deleted.end,
            "records deleted before they were read"
        );
        let records = deleted.end.abs_diff(deleted.start);
        let number = attr::MESSAGING_DESTINATION_PARTITION_ID.numbered(partition);
        self.deleted_unread
            .add(records, &self.labels.own.and(number));
    }

    pub(crate) fn rebalanced(&self, partitions: &[i32]) {
        if !partitions.is_empty() {
            self.rebalances.add(1, &self.labels.own);
        }
    }
}

/// A link to the span that created the event, with the identity of the event; `None` if it is not sampled.
fn link_to(record: &Record) -> Option<Link> {
    if is_unsampled(record.headers.text("traceparent")?) {
        return None;
    }
    let decided = propagation::of_record(&record.headers);
    let decided = decided.span().span_context().clone();
    if !decided.is_sampled() {
        return None;
    }
    let mut attributes = vec![attr::MESSAGING_KAFKA_OFFSET.of(record.offset)];
    let key = record.key.as_deref().and_then(bounded_text);
    attributes.extend(key.map(|key| attr::MESSAGING_KAFKA_MESSAGE_KEY.of(key)));
    let id = record.headers.text("ce_id");
    let id = id.and_then(|id| bounded_text(id.as_bytes()));
    attributes.extend(id.map(|id| attr::MESSAGING_MESSAGE_ID.of(id)));
    Some(Link::new(decided, attributes, 0))
}

/// Whether a `traceparent` of the usual length has an even flags field (W3C Trace Context, section 3.2.2.5): most events
/// need no parsing.
fn is_unsampled(traceparent: &str) -> bool {
    const LENGTH: usize = 55;
    let text = traceparent.as_bytes();
    text.len() == LENGTH
        && matches!(
            text[LENGTH - 1],
            b'0' | b'2' | b'4' | b'6' | b'8' | b'a' | b'c' | b'e'
        )
}

#[cfg(test)]
mod tests;
