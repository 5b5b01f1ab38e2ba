//! The W3C trace context on its way through gRPC metadata and Kafka headers.
//!
//! The context of the span that decided an event is stored with the event and never rewritten on the way, so that
//! whoever handles it later continues the same trace.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::consumer::Record;
use crate::headers;

/// `traceparent`, and `tracestate` if there is one, of the current span: to be stored with the events it decides.
pub fn current_trace_headers() -> Vec<(String, String)> {
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut pairs);
    // An empty tracestate says nothing.
    pairs.0.retain(|(_, value)| !value.is_empty());
    pairs.0
}

/// The span of one attempt to handle a record: a child of the record's context, so that one trace tells the order's
/// whole story.
pub(crate) fn process_span(record: &Record, group: &'static str) -> Span {
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {}", record.topic),
        otel.kind = "consumer",
        messaging.system = "kafka",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = record.topic,
        messaging.destination.partition.id = record.partition.to_string(),
        messaging.kafka.offset = record.offset,
        messaging.consumer.group.name = group,
    );
    let parent = TraceContextPropagator::new().extract(&RecordHeaders(record));
    // Fails only for a span that nobody records.
    let _ = span.set_parent(parent);
    span
}

/// The span of one gRPC call: a child of the caller's context.
pub(crate) fn server_span(method: &str, metadata: &http::HeaderMap) -> Span {
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
    );
    let parent = TraceContextPropagator::new().extract(&Metadata(metadata));
    let _ = span.set_parent(parent);
    span
}

struct Pairs(Vec<(String, String)>);

impl Injector for Pairs {
    fn set(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value));
    }
}

struct RecordHeaders<'a>(&'a Record);

impl Extractor for RecordHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        headers::text(&self.0.headers, key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

struct Metadata<'a>(&'a http::HeaderMap);

impl Extractor for Metadata<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
