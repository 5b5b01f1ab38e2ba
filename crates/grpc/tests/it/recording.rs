//! Records the spans of all tests in memory.

use std::sync::LazyLock;

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use telemetry::{SamplingRatio, tracer_provider, use_providers};

static RECORDING: LazyLock<(InMemorySpanExporter, SdkTracerProvider)> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = tracer_provider(SamplingRatio::ALL).with_simple_exporter(exporter.clone());
    (exporter, provider.build())
});

pub(crate) fn tracers() -> SdkTracerProvider {
    RECORDING.1.clone()
}

/// Starts the recording.
pub(crate) fn start() {
    use_providers(&tracers(), None);
}

pub(crate) fn spans_of(trace: TraceId) -> Vec<SpanData> {
    let spans = RECORDING.0.get_finished_spans().unwrap_or_default();
    let of_trace = |span: &SpanData| span.span_context.trace_id() == trace;
    spans.into_iter().filter(of_trace).collect()
}
