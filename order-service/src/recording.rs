//! In-memory telemetry exporters for the unit tests, one for the whole process.
//!
//! Tests run concurrently and share the metrics: a test reads labels that no other test uses, or a difference.

use std::sync::{LazyLock, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::metrics::data::{self, AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use telemetry::vocabulary::{Attribute, Metric};
use telemetry::{SamplingRatio, tracer_provider, use_providers};

struct Recording {
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    meters: SdkMeterProvider,
}

static RECORDING: LazyLock<Recording> = LazyLock::new(|| {
    let (spans, metrics) = (
        InMemorySpanExporter::default(),
        InMemoryMetricExporter::default(),
    );
    let tracers = tracer_provider(SamplingRatio::ALL).with_simple_exporter(spans.clone());
    let reader = PeriodicReader::builder(metrics.clone()).build();
    let meters = SdkMeterProvider::builder().with_reader(reader).build();
    use_providers(&tracers.build(), Some(&meters));
    Recording {
        spans,
        metrics,
        meters,
    }
});

/// Starts recording. Instruments that were created before record nothing.
pub(crate) fn start() {
    LazyLock::force(&RECORDING);
}

/// The ended spans of a trace.
pub(crate) fn spans_of(trace: TraceId) -> Vec<SpanData> {
    let spans = RECORDING.spans.get_finished_spans().unwrap();
    let of_trace = |span: &SpanData| span.span_context.trace_id() == trace;
    spans.into_iter().filter(of_trace).collect()
}

/// The sum of a counter, or the count of a histogram, under this label.
pub(crate) fn counted(metric: &Metric, attribute: &Attribute, value: &str) -> u64 {
    // One at a time: each call resets the exporter.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _only = ONE_AT_A_TIME.lock();
    RECORDING.metrics.reset();
    RECORDING.meters.force_flush().unwrap();
    let exported = RECORDING.metrics.get_finished_metrics().unwrap();
    let scopes = exported.iter().flat_map(|all| all.scope_metrics());
    let of_name = scopes.flat_map(|scope| scope.metrics().filter(|of| of.name() == metric.name));
    let counts = of_name.flat_map(|metric| points(metric, attribute));
    counts
        .filter_map(|(label, count)| (label == value).then_some(count))
        .sum()
}

/// The value of the attribute and the count at each data point.
fn points(metric: &data::Metric, attribute: &Attribute) -> Vec<(String, u64)> {
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            let points = sum.data_points();
            points
                .map(|point| (label(point.attributes(), attribute), point.value()))
                .collect()
        }
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            let points = histogram.data_points();
            points
                .map(|point| (label(point.attributes(), attribute), point.count()))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn label<'a>(mut labels: impl Iterator<Item = &'a KeyValue>, attribute: &Attribute) -> String {
    let label = labels.find(|label| label.key.as_str() == attribute.name);
    label.map_or_else(String::new, |label| label.value.to_string())
}
