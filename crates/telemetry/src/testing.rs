//! In-memory exporters of spans and metrics for unit tests, one of each per process.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::{LazyLock, Mutex};

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};

use super::*;

static METRICS: LazyLock<(InMemoryMetricExporter, SdkMeterProvider)> = LazyLock::new(|| {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    (
        exporter,
        SdkMeterProvider::builder().with_reader(reader).build(),
    )
});

static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = tracer_provider(SamplingRatio::ALL).with_simple_exporter(exporter.clone());
    use_providers(&provider.build(), Some(&METRICS.1));
    exporter
});

/// Starts recording the spans and metrics of all tests of this process.
pub fn record_spans() {
    LazyLock::force(&SPANS);
}

/// The ended spans of this trace.
pub fn spans_of(trace: opentelemetry::trace::TraceId) -> Vec<SpanData> {
    let of_trace = |span: &SpanData| span.span_context.trace_id() == trace;
    all_spans().into_iter().filter(of_trace).collect()
}

/// The ended spans of all traces.
pub fn all_spans() -> Vec<SpanData> {
    SPANS.get_finished_spans().unwrap_or_default()
}

/// The current points of this metric with this label: the other labels, sorted by name, and the value or count.
pub fn measured(name: &str, label: &str, value: &str) -> Vec<(String, u64)> {
    let exported = exported();
    let mut points: Vec<_> = metrics_named(&exported, name).flat_map(points).collect();
    points.retain(|(labels, _)| {
        labels
            .iter()
            .any(|of| of.key.as_str() == label && of.value == Value::from(value.to_owned()))
    });
    let others = |(labels, count): (Vec<KeyValue>, u64)| (others(labels, label), count);
    let mut measured: Vec<_> = points.into_iter().map(others).collect();
    measured.sort();
    measured
}

/// The current value of a gauge without labels, if it has one.
pub fn gauge(name: &str) -> Option<f64> {
    let exported = exported();
    let last = metrics_named(&exported, name).filter_map(|metric| match metric.data() {
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| point.value() as f64).last()
        }
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| point.value()).last()
        }
        _ => None,
    });
    last.last()
}

/// The sum and the boundaries of a histogram for this label, with any other labels.
pub fn distribution(name: &str, label: &KeyValue) -> Option<(f64, Vec<f64>)> {
    let exported = exported();
    let last = metrics_named(&exported, name).filter_map(|metric| {
        let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() else {
            return None;
        };
        let mut points = histogram.data_points();
        let point = points.find(|point| point.attributes().any(|of| of == label))?;
        Some((point.sum(), point.bounds().collect()))
    });
    last.last()
}

fn exported() -> Vec<ResourceMetrics> {
    // One test at a time: each needs the current values only.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _only = ONE_AT_A_TIME.lock();
    METRICS.0.reset();
    METRICS.1.force_flush().unwrap();
    METRICS.0.get_finished_metrics().unwrap()
}

fn metrics_named<'a>(
    exported: &'a [ResourceMetrics],
    name: &'a str,
) -> impl Iterator<Item = &'a Metric> {
    let scopes = exported.iter().flat_map(|metrics| metrics.scope_metrics());
    scopes.flat_map(move |scope| scope.metrics().filter(move |of| of.name() == name))
}

fn others(labels: Vec<KeyValue>, label: &str) -> String {
    let others = labels.iter().filter(|of| of.key.as_str() != label);
    let mut texts: Vec<_> = others
        .map(|of| format!("{}={}", of.key, of.value))
        .collect();
    texts.sort();
    texts.join(" ")
}

fn points(metric: &Metric) -> Vec<(Vec<KeyValue>, u64)> {
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => (gauge.data_points())
            .map(|point| (point.attributes().cloned().collect(), point.value()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Sum(sum)) => (sum.data_points())
            .map(|point| (point.attributes().cloned().collect(), point.value()))
            .collect(),
        AggregatedMetrics::I64(MetricData::Sum(sum)) => (sum.data_points())
            .map(|point| {
                let value = point.value().try_into().unwrap();
                (point.attributes().cloned().collect(), value)
            })
            .collect(),
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => (histogram.data_points())
            .map(|point| (point.attributes().cloned().collect(), point.count()))
            .collect(),
        _ => Vec::new(),
    }
}
