//! The span and the duration of one attempt.

use std::sync::atomic::Ordering;
use std::time::Instant;

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt};

use super::ConsumerTelemetry;
use crate::config::TraceProcessing;
use crate::handler::{Delivery, Failure, Handled};
use kafka::{Operation, bounded_text};
use telemetry::names::{attributes as attr, spans};
use telemetry::span::Span;

/// `error.type` of an attempt whose future was dropped.
const CUT_OFF: &str = "cut_off";

/// A running attempt; the drop ends it.
#[derive(Debug)]
pub(crate) struct ObservedAttempt<'a> {
    telemetry: &'a ConsumerTelemetry,
    span: Span,
    began: Instant,
    /// The `error.type`; [`CUT_OFF`] until the attempt has ended.
    failure: Option<&'static str>,
}

impl<'a> ObservedAttempt<'a> {
    pub(crate) fn new(
        telemetry: &'a ConsumerTelemetry,
        delivery: &Delivery,
        trace: &Context,
    ) -> Self {
        telemetry.in_flight.fetch_add(1, Ordering::Relaxed);
        let span = begin(telemetry, trace);
        describe(telemetry, &span, delivery);
        Self {
            telemetry,
            span,
            began: Instant::now(),
            failure: Some(CUT_OFF),
        }
    }

    /// The current span of the handler call.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn ended(mut self, handled: &Handled) {
        self.failure = match handled {
            Ok(Ok(())) => None,
            Ok(Err(Failure::Retry(_))) => Some("retry"),
            Ok(Err(Failure::Reject(_))) => Some("rejected"),
            Ok(Err(Failure::Fatal(_))) => Some("fatal"),
            Err(_) => Some("panicked"),
        };
    }
}

impl Drop for ObservedAttempt<'_> {
    fn drop(&mut self) {
        let telemetry = self.telemetry;
        telemetry.in_flight.fetch_sub(1, Ordering::Relaxed);
        let (took, labels) = (self.began.elapsed(), &telemetry.labels.process);
        let Some(failure) = self.failure else {
            telemetry.process_durations.record_time(took, labels);
            return;
        };
        self.span.fail(failure);
        let labels = labels.and(attr::ERROR_TYPE.label(failure));
        telemetry.process_durations.record_time(took, &labels);
    }
}

/// An event without a trace begins one; an unsampled trace is continued without a span.
fn begin(telemetry: &ConsumerTelemetry, trace: &Context) -> Span {
    let name = Operation::Process.of(&telemetry.config.topic);
    let decided = trace.span().span_context().clone();
    if !decided.is_valid() {
        return spans::PROCESS.continuing(name, &Context::new(), Vec::new());
    }
    let is_recorded = decided.is_sampled();
    let link = Link::new(decided, Vec::new(), 0);
    if is_recorded && telemetry.config.trace_processing == TraceProcessing::Link {
        return spans::PROCESS.for_all(name, [link]);
    }
    spans::PROCESS.part_of(name, trace, [link])
}

fn describe(telemetry: &ConsumerTelemetry, span: &Span, delivery: &Delivery) {
    if !span.is_recording() {
        return;
    }
    span.describe_as(&telemetry.labels.process_span);
    span.describe_as(&telemetry.labels.server);
    span.describe(|| {
        [
            attr::MESSAGING_DESTINATION_PARTITION_ID.of(delivery.partition.to_string()),
            attr::MESSAGING_KAFKA_OFFSET.of(delivery.offset),
            attr::ATTEMPT.of(i64::from(delivery.attempt())),
        ]
    });
    if let Some(key) = delivery.key.as_deref().and_then(bounded_text) {
        span.set(&attr::MESSAGING_KAFKA_MESSAGE_KEY, key);
    }
    if delivery.payload.is_none() {
        span.set(&attr::MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true);
    }
    let id = delivery.headers.text("ce_id");
    if let Some(id) = id.and_then(|id| bounded_text(id.as_bytes())) {
        span.set(&attr::MESSAGING_MESSAGE_ID, id);
    }
}
