//! One order as a waterfall: each span a row, below the span that it is part of, with a bar where it lies in time.
//!
//! Spans in, rows out; [`text`] writes them for a terminal, [`svg`] as a picture. [`observation`] is where the spans of a
//! local stack come from.

pub mod observation;
pub mod svg;
pub mod text;

use std::time::Duration;

use proto::topics;

use crate::otlp::span::{Span, SpanKind};
use crate::otlp::trace::Trace;

/// The call that an order begins with.
const PLACE_ORDER: &str = "orders.v1.OrderService/PlaceOrder";

/// A span in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// How many spans it is part of.
    pub depth: usize,
    /// Service name.
    pub service: String,
    /// On which side of a conversation.
    pub kind: SpanKind,
    /// Span name.
    pub name: String,
    /// From the start of the trace to its own.
    pub offset: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Whether it has links to other spans.
    pub is_linked: bool,
    /// Whether it failed.
    pub failed: bool,
}

impl Row {
    /// When it ended, from the start of the trace.
    pub fn end(&self) -> Duration {
        self.offset + self.duration
    }
}

/// The rows of a trace, each span before its parts and those by their start.
pub fn rows(trace: &Trace) -> Vec<Row> {
    let start = trace.spans().first().map_or(0, |span| span.start);
    let mut rows = Vec::new();
    for root in trace.roots() {
        add(trace, root, (start, 0), &mut rows);
    }
    rows
}

fn add(trace: &Trace, span: &Span, (start, depth): (u64, usize), rows: &mut Vec<Row>) {
    rows.push(Row {
        depth,
        service: span.service.clone(),
        kind: span.kind,
        name: span.name.clone(),
        offset: Duration::from_nanos(span.start - start),
        duration: span.duration(),
        is_linked: !span.links.is_empty(),
        failed: span.failed,
    });
    for part in trace.children_of(span) {
        add(trace, part, (start, depth + 1), rows);
    }
}

/// How long it took from the first start to the last end.
pub fn length(rows: &[Row]) -> Duration {
    rows.iter().map(Row::end).max().unwrap_or_default()
}

/// Whether a trace tells of an order from its call to its outcome: every event of processing-service that it was sent is
/// also taken in, and there are as many as a fulfilled order has.
pub fn is_complete(trace: &Trace) -> bool {
    /// Reserved, paid, shipped.
    const EVENTS: usize = 3;
    let count =
        |kind, operation: &str, topic| trace.named(kind, &format!("{operation} {topic}")).len();
    let came = count(SpanKind::Consumer, "process", topics::PROCESSING_EVENTS);
    let went = count(SpanKind::Client, "send", topics::PROCESSING_EVENTS);
    let calls = trace.named(SpanKind::Server, PLACE_ORDER).len();
    calls == 1 && came >= EVENTS && came == went
}

/// The trace whose length is the median of those that are complete: an order like most of them.
pub fn typical(traces: Vec<Trace>) -> Option<Trace> {
    let mut traces: Vec<_> = traces.into_iter().filter(is_complete).collect();
    traces.sort_by_key(|trace| length(&rows(trace)));
    let middle = traces.len().checked_sub(1)? / 2;
    Some(traces.swap_remove(middle))
}

#[cfg(test)]
mod tests;
