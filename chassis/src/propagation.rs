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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use proptest::prelude::*;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Runs with tracing as a service has it that exports nothing.
    fn with_tracing<T>(run: impl FnOnce() -> T) -> T {
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        tracing::subscriber::with_default(subscriber, run)
    }

    fn traceparent(headers: &[(String, String)]) -> &str {
        let found = headers.iter().find(|(name, _)| name == "traceparent");
        found.map(|(_, value)| value.as_str()).unwrap()
    }

    #[test]
    fn a_call_continues_its_callers_trace_and_its_events_carry_it_on() {
        let mut metadata = http::HeaderMap::new();
        metadata.insert("traceparent", http::HeaderValue::from_static(CALLER));

        let headers =
            with_tracing(|| server_span("PlaceOrder", &metadata).in_scope(current_trace_headers));

        let carried = traceparent(&headers);
        assert!(carried.contains(TRACE), "{carried}");
        assert!(
            !carried.contains("00f067aa0ba902b7"),
            "the event's parent is the call: {carried}"
        );
    }

    #[test]
    fn a_call_without_a_trace_begins_one() {
        let metadata = http::HeaderMap::new();

        let headers =
            with_tracing(|| server_span("PlaceOrder", &metadata).in_scope(current_trace_headers));

        assert_eq!(traceparent(&headers).len(), CALLER.len());
    }

    #[test]
    fn handling_an_event_continues_the_trace_in_its_headers() {
        let record = Record {
            headers: vec![("traceparent".to_owned(), CALLER.as_bytes().to_vec())],
            ..Record::default()
        };

        let headers =
            with_tracing(|| process_span(&record, "group").in_scope(current_trace_headers));

        assert!(traceparent(&headers).contains(TRACE));
    }

    #[test]
    fn a_malformed_trace_context_is_ignored() {
        let record = Record {
            headers: vec![("traceparent".to_owned(), b"00-not-a-trace".to_vec())],
            ..Record::default()
        };

        let headers =
            with_tracing(|| process_span(&record, "group").in_scope(current_trace_headers));

        assert_eq!(traceparent(&headers).len(), CALLER.len());
    }

    proptest! {
        /// Whatever stands in the headers, and however the valid one is damaged: there is a trace to carry on.
        #[test]
        fn no_header_of_a_record_or_a_call_takes_the_trace_away(
            bytes: Vec<u8>,
            at in 0..CALLER.len(),
            byte: u8,
            is_damaged: bool,
        ) {
            let mut damaged = CALLER.as_bytes().to_vec();
            damaged[at] = byte;
            let value = if is_damaged { damaged } else { bytes };
            let mut metadata = http::HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                metadata.insert("traceparent", value.clone());
                metadata.insert("tracestate", value);
            }
            let header = |name: &str| (name.to_owned(), value.clone());
            let headers = vec![header("traceparent"), header("tracestate")];
            let record = Record { headers, ..Record::default() };

            with_tracing(|| {
                for span in [server_span("PlaceOrder", &metadata), process_span(&record, "group")] {
                    let carried = span.in_scope(current_trace_headers);
                    prop_assert_eq!(traceparent(&carried).len(), CALLER.len());
                }
                Ok(())
            })?;
        }
    }
}
