//! One order as a waterfall: a row per span, indented below its parent, with a bar at its position in time.
//!
//! Spans in, rows out; [`text`] renders them for a terminal, [`svg`] as a picture. [`observation`] collects the spans
//! of a local stack.

pub mod observation;
pub mod svg;
pub mod text;

use std::time::Duration;

use proto::topics;

use crate::otlp::span::{Span, SpanKind};
use crate::otlp::trace::Trace;

/// The name of the root span.
const PLACE_ORDER: &str = "orders.v1.OrderService/PlaceOrder";

/// A span of the waterfall.
#[derive(Clone, Debug, PartialEq)]
pub struct WaterfallRow {
    /// Number of ancestors.
    pub depth: usize,
    pub service: String,
    pub kind: SpanKind,
    pub name: String,
    /// Start, relative to the start of the trace.
    pub offset: Duration,
    pub duration: Duration,
    /// Whether it has links to other spans.
    pub is_linked: bool,
    pub failed: bool,
}

impl WaterfallRow {
    /// End, relative to the start of the trace.
    pub fn end(&self) -> Duration {
        self.offset + self.duration
    }
}

/// The rows of a trace, each span before its children, children by start time.
pub fn rows(trace: &Trace) -> Vec<WaterfallRow> {
    let start = trace.spans().first().map_or(0, |span| span.start);
    let mut rows = Vec::new();
    for root in trace.roots() {
        add(trace, root, (start, 0), &mut rows);
    }
    rows
}

fn add(trace: &Trace, span: &Span, (start, depth): (u64, usize), rows: &mut Vec<WaterfallRow>) {
    rows.push(WaterfallRow {
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

/// Time from the first start to the last end.
pub fn length(rows: &[WaterfallRow]) -> Duration {
    rows.iter().map(WaterfallRow::end).max().unwrap_or_default()
}

/// Whether a trace has an order from its call to its outcome: every published event of processing-service was also
/// consumed, and there are as many as for a fulfilled order.
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

/// The complete trace of median duration.
pub fn typical(traces: Vec<Trace>) -> Option<Trace> {
    let mut traces: Vec<_> = traces.into_iter().filter(is_complete).collect();
    traces.sort_by_key(|trace| length(&rows(trace)));
    let middle = traces.len().checked_sub(1)? / 2;
    Some(traces.swap_remove(middle))
}

#[cfg(test)]
mod tests;
