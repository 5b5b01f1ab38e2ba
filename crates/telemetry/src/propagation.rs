//! Propagation of the W3C trace context in gRPC metadata and Kafka headers.
//!
//! The context of the span that created an event is stored with the event and never rewritten, so that its consumer
//! continues the same trace. Baggage is neither read nor propagated: a caller controls its content.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Name and value of a record's header: any bytes, and the value can be null.
type Header = (Vec<u8>, Option<Vec<u8>>);

/// `traceparent` of the current span, and `tracestate` if there is one, to store with an event.
pub fn current_trace_headers() -> Vec<(String, String)> {
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(&Context::current(), &mut pairs);
    // An empty tracestate is omitted.
    pairs.0.retain(|(_, value)| !value.is_empty());
    pairs.0
}

/// The context of the span that created an event.
pub fn of_event(headers: &[Header]) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &EventHeaders(headers))
}

/// The trace context of the caller.
pub fn of_call(metadata: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &Metadata(metadata))
}

/// Sets the trace context of a call and replaces an existing one.
pub fn inject(context: &Context, metadata: &mut HeaderMap) {
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(context, &mut pairs);
    for (name, value) in pairs.0 {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            metadata.insert(name, value);
        }
    }
}

struct Pairs(Vec<(String, String)>);

impl Injector for Pairs {
    fn set(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value));
    }
}

struct EventHeaders<'a>(&'a [Header]);

impl Extractor for EventHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key.as_bytes())?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        let names = self.0.iter();
        names
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
            .collect()
    }
}

struct Metadata<'a>(&'a HeaderMap);

impl Extractor for Metadata<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::spans;
    use crate::testing::record_spans;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[(&str, &[u8])]) -> Vec<Header> {
        let header =
            |(name, value): &(&str, &[u8])| (name.as_bytes().to_vec(), Some(value.to_vec()));
        values.iter().map(header).collect()
    }

    /// The headers of an event created by a child span of `parent`.
    fn carried(parent: &Context) -> Vec<(String, String)> {
        record_spans();
        let span = spans::PROCESS.continuing("process", parent, Vec::new());
        span.within(current_trace_headers)
    }

    fn traceparent(headers: &[(String, String)]) -> &str {
        let found = headers.iter().find(|(name, _)| name == "traceparent");
        found.map(|(_, value)| value.as_str()).unwrap()
    }

    #[test]
    fn a_call_continues_the_trace_of_its_caller_and_its_events_continue_it() {
        let mut metadata = HeaderMap::new();
        metadata.insert("traceparent", HeaderValue::from_static(CALLER));

        let headers = carried(&of_call(&metadata));

        let carried = traceparent(&headers);
        assert!(carried.contains(TRACE), "{carried}");
        assert!(
            !carried.contains("00f067aa0ba902b7"),
            "the event's parent is the call: {carried}"
        );
    }

    #[test]
    fn a_call_without_a_trace_context_starts_a_trace() {
        let headers = carried(&of_call(&HeaderMap::new()));

        assert_eq!(traceparent(&headers).len(), CALLER.len());
    }

    #[test]
    fn a_handler_continues_the_trace_in_the_headers_of_its_event() {
        let event = headers(&[("traceparent", CALLER.as_bytes())]);

        assert!(traceparent(&carried(&of_event(&event))).contains(TRACE));
    }

    #[test]
    fn a_malformed_trace_context_is_ignored() {
        let event = headers(&[("traceparent", b"00-not-a-trace")]);

        let carried = carried(&of_event(&event));

        assert_eq!(traceparent(&carried).len(), CALLER.len());
    }

    #[test]
    fn baggage_of_a_caller_is_not_propagated() {
        let mut metadata = HeaderMap::new();
        metadata.insert("traceparent", HeaderValue::from_static(CALLER));
        metadata.insert("baggage", HeaderValue::from_static("user=alice"));

        let context = of_call(&metadata);
        let mut onward = HeaderMap::new();
        inject(&context, &mut onward);

        assert!(onward.contains_key("traceparent"));
        assert!(!onward.contains_key("baggage"));
        assert!(carried(&context).iter().all(|(name, _)| name != "baggage"));
    }

    proptest! {
        /// Arbitrary and damaged header values still give a valid trace.
        #[test]
        fn a_damaged_header_of_a_record_or_a_call_starts_a_new_trace_at_worst(
            bytes: Vec<u8>,
            at in 0..CALLER.len(),
            byte: u8,
            is_damaged: bool,
        ) {
            let mut damaged = CALLER.as_bytes().to_vec();
            damaged[at] = byte;
            let value = if is_damaged { damaged } else { bytes };
            let mut metadata = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                metadata.insert("traceparent", value.clone());
                metadata.insert("tracestate", value);
            }
            let event = headers(&[("traceparent", &value), ("tracestate", &value)]);

            for context in [of_call(&metadata), of_event(&event)] {
                prop_assert_eq!(traceparent(&carried(&context)).len(), CALLER.len());
            }
        }
    }
}
