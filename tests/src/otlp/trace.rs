//! A trace: spans with the same trace id, and their parent-child relations.

use std::collections::HashMap;

use super::span::{Span, SpanKind};

/// The received spans of one trace, by start time.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    spans: Vec<Span>,
}

impl Trace {
    /// From spans with the same trace id.
    pub fn of(mut spans: Vec<Span>) -> Self {
        spans.sort_by_key(|span| (span.start, u64::MAX - span.end));
        Self { spans }
    }

    /// The traces of these spans, in order of first occurrence.
    pub(super) fn all_of(spans: Vec<Span>) -> Vec<Self> {
        let mut places = HashMap::<String, usize>::new();
        let mut traces = Vec::<Vec<Span>>::new();
        for span in spans {
            let place = *places.entry(span.trace_id.clone()).or_insert(traces.len());
            match traces.get_mut(place) {
                Some(trace) => trace.push(span),
                None => traces.push(vec![span]),
            }
        }
        traces.into_iter().map(Self::of).collect()
    }

    /// All spans, by start time.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The spans with this kind and name, by start time.
    pub fn named(&self, kind: SpanKind, name: &str) -> Vec<&Span> {
        let spans = self.spans.iter();
        spans
            .filter(|span| span.kind == kind && span.name == name)
            .collect()
    }

    /// The span with this id.
    pub fn span(&self, span_id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.span_id == span_id)
    }

    /// The parent span, if it was received.
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        self.span(span.parent.as_deref()?)
    }

    /// The direct children, by start time.
    pub fn children_of(&self, span: &Span) -> impl Iterator<Item = &Span> {
        let is_child = |other: &&Span| other.parent.as_ref() == Some(&span.span_id);
        self.spans.iter().filter(is_child)
    }

    /// Spans whose parent is remote or was not received.
    pub fn roots(&self) -> impl Iterator<Item = &Span> {
        let spans = self.spans.iter();
        spans.filter(|span| self.parent_of(span).is_none())
    }

    /// Whether a span is this one or a descendant of it.
    pub fn is_within(&self, span: &Span, whole: &Span) -> bool {
        let mut spans = std::iter::successors(Some(span), |span| self.parent_of(span));
        // A span has fewer ancestors than its trace has spans, unless a sender produces a cycle.
        spans
            .by_ref()
            .take(self.spans.len() + 1)
            .any(|span| span.span_id == whole.span_id)
    }
}
