//! The log format: one JSON object per line with timestamp, level, target, message, fields and the ids of the current span.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

pub(super) fn layer<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().event_format(JsonLines);
    layer.with_writer(writer)
}

struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Fields(Map::new());
        line.set("timestamp", now()?);
        line.set("level", metadata.level().as_str());
        line.set("target", metadata.target());
        event.record(&mut line);
        line.add_span_ids();
        let line = serde_json::to_string(&line.0).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

fn now() -> Result<String, fmt::Error> {
    let mut text = String::new();
    SystemTime.format_time(&mut Writer::new(&mut text))?;
    Ok(text)
}

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn add_span_ids(&mut self) {
        let context = Context::current();
        let span = context.span().span_context().clone();
        if span.is_valid() {
            self.set("trace_id", span.trace_id().to_string());
            self.set("span_id", span.span_id().to_string());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _};
    use std::sync::{Arc, LazyLock};

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    use tracing::Dispatch;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::names::spans;
    use crate::testing::record_spans;

    /// While only one subscriber lives, `tracing` asks that of the thread which comes to a call site first, and remembers
    /// its answer for all threads: a second test's thread without a subscriber would switch the call site off.
    static ANOTHER_SUBSCRIBER: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

    /// The lines logged by `run`, parsed.
    fn lines(run: impl FnOnce()) -> Vec<Value> {
        LazyLock::force(&ANOTHER_SUBSCRIBER);
        let mut file: File = tempfile::tempfile().unwrap();
        let writer = Arc::new(file.try_clone().unwrap());
        let subscriber = tracing_subscriber::registry().with(layer(writer));
        tracing::subscriber::with_default(subscriber, run);
        let mut written = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut written).unwrap();
        let lines = written.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_its_message_its_fields_and_the_ids_of_the_current_span() {
        record_spans();
        let span = spans::GROUP_COMMIT.continuing("part", &Context::new(), Vec::new());

        let lines = lines(|| {
            span.within(|| tracing::info!(rows = 3, "something happened"));
            tracing::info!("something else happened");
        });

        let [within, outside] = &lines[..] else {
            panic!("{lines:?}")
        };
        let context = span.span_context();
        assert_eq!(within["trace_id"], context.trace_id().to_string());
        assert_eq!(within["span_id"], context.span_id().to_string());
        assert_eq!(within["message"], "something happened");
        assert_eq!(
            (&within["rows"], &within["level"]),
            (&3.into(), &"INFO".into())
        );
        assert_eq!(outside["message"], "something else happened");
        assert_eq!(outside.get("trace_id"), None);
        assert_eq!(outside.get("span_id"), None);
    }

    #[test]
    fn a_panic_is_logged_as_an_error_also_when_it_is_caught() {
        let of_the_tests = std::panic::take_hook();

        let lines = lines(|| {
            crate::panics::log();
            let caught = std::panic::catch_unwind(|| panic!("a defect"));
            assert!(caught.is_err());
        });
        std::panic::set_hook(of_the_tests);

        assert_eq!(lines[0]["level"], "ERROR");
        assert_eq!(lines[0]["said"], "a defect");
        let location = lines[0]["location"].as_str().unwrap();
        assert!(location.contains("json.rs"), "{location}");
    }

    #[test]
    fn a_line_within_an_unsampled_trace_has_its_ids() {
        let (trace, span) = (TraceId::from(0xc1), SpanId::from(7));
        let remote = SpanContext::new(trace, span, TraceFlags::NOT_SAMPLED, true, TraceState::NONE);
        let context = Context::new().with_remote_span_context(remote);

        let lines = lines(|| {
            let _current = context.attach();
            tracing::info!("something happened");
        });

        assert_eq!(lines[0]["trace_id"], trace.to_string());
        assert_eq!(lines[0]["span_id"], span.to_string());
    }
}
