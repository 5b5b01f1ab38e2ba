//! Propagation of the W3C trace context in gRPC metadata and Kafka headers.
//!
//! The context of the span that created an event is stored with the event and never rewritten, so that its consumer
//! continues the same trace. `tracestate` is dropped unless the setting `TRACE_STATE` keeps it, then within the limits
//! of the specification. Baggage is neither read nor propagated. A caller, or the writer of a record, controls the
//! content of both, and it would reach every event and every exported span of an order.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use service::config::{FromSetting, Settings};

const TRACE_STATE: &str = "tracestate";

/// Bytes of a `tracestate` that every system must propagate (W3C Trace Context, section 3.3.1.5).
const MAX_TRACE_STATE_BYTES: usize = 512;

/// Entries of a `tracestate` (W3C Trace Context, section 3.3.1.1).
const MAX_TRACE_STATE_ENTRIES: usize = 32;

/// What becomes of a received `tracestate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceStatePolicy {
    #[default]
    Drop,
    /// Propagated, without the entries beyond the limits.
    Keep,
}

impl TraceStatePolicy {
    /// Reads the setting.
    pub(super) fn read(settings: &mut Settings<'_>) -> Self {
        settings.value(
            "TRACE_STATE",
            "drop",
            "`tracestate` of callers and events: `drop`, or `keep` to propagate, store and export its first entries, at most 32 and 512 bytes; callers control its content",
        )
    }
}

impl FromSetting for TraceStatePolicy {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "drop" => Ok(Self::Drop),
            "keep" => Ok(Self::Keep),
            _ => Err("drop or keep".to_owned()),
        }
    }
}

/// Set by [`super::Telemetry::start`]; global like the tracer.
static POLICY: OnceLock<TraceStatePolicy> = OnceLock::new();

/// No-op after the first call.
pub(super) fn use_policy(policy: TraceStatePolicy) {
    let _ = POLICY.set(policy);
}

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
    of_record(&EventHeaders(headers))
}

/// As [`of_event`], for headers of another type.
pub fn of_record(headers: &dyn Extractor) -> Context {
    extract(headers, policy())
}

/// The trace context of the caller.
pub fn of_call(metadata: &HeaderMap) -> Context {
    extract(&Metadata(metadata), policy())
}

/// Sets the trace context of a call and replaces an existing one.
pub fn inject(context: &Context, metadata: &mut HeaderMap) {
    let mut pairs = Pairs(Vec::with_capacity(2));
    TraceContextPropagator::new().inject_context(context, &mut pairs);
    pairs.0.retain(|(_, value)| !value.is_empty());
    for (name, value) in pairs.0 {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            metadata.insert(name, value);
        }
    }
}

fn policy() -> TraceStatePolicy {
    POLICY.get().copied().unwrap_or_default()
}

fn extract(headers: &dyn Extractor, policy: TraceStatePolicy) -> Context {
    let trace_state = match policy {
        TraceStatePolicy::Drop => None,
        TraceStatePolicy::Keep => headers.get_all(TRACE_STATE).map(|all| all.join(",")),
    };
    let trace_state = trace_state.as_deref().map(within_limits);
    let admitted = Admitted {
        headers,
        // Without control characters and Unicode, which the specification excludes.
        trace_state: trace_state
            .filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte))),
    };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &admitted)
}

/// The entries from the left that are within the limits, as a whole.
fn within_limits(trace_state: &str) -> &str {
    let (mut begin, mut end) = (0, 0);
    for entry in trace_state.split(',').take(MAX_TRACE_STATE_ENTRIES) {
        if begin + entry.len() > MAX_TRACE_STATE_BYTES {
            break;
        }
        end = begin + entry.len();
        begin = end + 1;
    }
    &trace_state[..end]
}

/// Received headers, with the `tracestate` that is let in.
struct Admitted<'a> {
    headers: &'a dyn Extractor,
    trace_state: Option<&'a str>,
}

impl Extractor for Admitted<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACE_STATE => self.trace_state,
            _ => self.headers.get(key),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.keys()
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

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.0.iter().filter(|(name, _)| name == key.as_bytes());
        values
            .map(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
            .collect()
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

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.0.get_all(key).into_iter();
        values.map(|value| value.to_str().ok()).collect()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt as _;
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

    /// The smallest input that was seen in records and exported spans: 12.7 kB with an e-mail address.
    fn hostile_trace_state() -> String {
        let entries = (0..200).map(|n| format!("vendor{n}=someone@example.com-{}", "x".repeat(30)));
        entries.collect::<Vec<_>>().join(",")
    }

    fn trace_state(context: &Context) -> String {
        context.span().span_context().trace_state().header()
    }

    fn metadata(trace_state: &str) -> HeaderMap {
        let mut metadata = HeaderMap::new();
        metadata.insert("traceparent", HeaderValue::from_static(CALLER));
        metadata.insert("tracestate", HeaderValue::try_from(trace_state).unwrap());
        metadata
    }

    #[test]
    fn the_tracestate_of_a_caller_or_a_record_reaches_no_span_no_event_and_no_call() {
        let hostile = hostile_trace_state();
        let event = headers(&[
            ("traceparent", CALLER.as_bytes()),
            ("tracestate", hostile.as_bytes()),
        ]);

        for context in [of_call(&metadata(&hostile)), of_event(&event)] {
            record_spans();
            let span = spans::PROCESS.continuing("process", &context, Vec::new());
            assert_eq!(trace_state(span.context()), "");
            let stored = span.within(current_trace_headers);
            assert!(traceparent(&stored).contains(TRACE));
            assert!(stored.iter().all(|(name, _)| name != "tracestate"));
            let mut onward = HeaderMap::new();
            inject(span.context(), &mut onward);
            assert!(!onward.contains_key("tracestate"), "{onward:?}");
        }
    }

    #[test]
    fn a_kept_tracestate_loses_the_entries_beyond_512_bytes() {
        let metadata = metadata(&hostile_trace_state());

        let kept = trace_state(&extract(&Metadata(&metadata), TraceStatePolicy::Keep));

        assert!(
            (400..=MAX_TRACE_STATE_BYTES).contains(&kept.len()),
            "{kept}"
        );
        assert!(hostile_trace_state().starts_with(&format!("{kept},")));
    }

    #[test]
    fn a_kept_tracestate_loses_the_entries_beyond_the_32nd() {
        let entries: Vec<_> = (0..40).map(|n| format!("v{n}=1")).collect();
        let metadata = metadata(&entries.join(","));

        let kept = trace_state(&extract(&Metadata(&metadata), TraceStatePolicy::Keep));

        assert_eq!(kept, entries[..32].join(","));
        // OpenTelemetry has the same limit, which must not be the only one.
        assert_eq!(within_limits(&entries.join(",")), kept);
    }

    #[test]
    fn a_kept_tracestate_can_come_in_several_headers() {
        let mut several = metadata("a=1");
        several.append("tracestate", HeaderValue::from_static("b=2"));
        let event = headers(&[
            ("tracestate", b"a=1"),
            ("traceparent", CALLER.as_bytes()),
            ("tracestate", b"b=2"),
        ]);

        for headers in [&Metadata(&several) as &dyn Extractor, &EventHeaders(&event)] {
            let kept = trace_state(&extract(headers, TraceStatePolicy::Keep));
            assert_eq!(kept, "a=1,b=2");
        }
    }

    #[test]
    fn a_kept_tracestate_has_printable_ascii_only() {
        for hostile in ["a=1\nlevel=error", "a=\u{e9}", "a=\u{0}"] {
            let event = headers(&[
                ("traceparent", CALLER.as_bytes()),
                ("tracestate", hostile.as_bytes()),
            ]);

            let kept = extract(&EventHeaders(&event), TraceStatePolicy::Keep);

            assert!(kept.span().span_context().is_valid());
            assert_eq!(trace_state(&kept), "", "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn a_tracestate_is_cut_between_entries(text in "[a-z=,]{0,200}(,[a-z=]{0,300}){0,40}") {
            let cut = within_limits(&text);

            prop_assert!(cut.len() <= MAX_TRACE_STATE_BYTES);
            prop_assert!(cut.split(',').count() <= MAX_TRACE_STATE_ENTRIES);
            let is_whole = text.len() == cut.len() || text[cut.len()..].starts_with(',');
            prop_assert!(text.starts_with(cut) && (is_whole || cut.is_empty()));
        }

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
