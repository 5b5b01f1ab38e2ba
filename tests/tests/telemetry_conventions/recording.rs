//! Telemetry of all tests of this program, kept in memory and checked.

use std::sync::LazyLock;

use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use telemetry::{SamplingRatio, tracer_provider, use_providers};

use crate::checker::{faults_of_metric, faults_of_span};

/// The name of the root span of a test, which makes its work sampled.
pub(crate) const CALLER: &str = "caller";

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

/// Starts recording. Instruments created earlier are no-ops.
pub(crate) fn start() {
    LazyLock::force(&RECORDING);
}

/// The ended spans, without the root spans of the tests.
pub(crate) fn spans() -> Vec<SpanData> {
    let mut spans = RECORDING.spans.get_finished_spans().unwrap();
    spans.retain(|span| span.name != CALLER);
    spans
}

/// Asserts that these metrics were emitted and that all telemetry conforms to the names.
pub(crate) fn assert_conforming(metrics: &[&str]) {
    RECORDING.meters.force_flush().unwrap();
    let measured = RECORDING.metrics.get_finished_metrics().unwrap();
    let scopes = measured.iter().flat_map(|all| all.scope_metrics());
    let measured: Vec<_> = scopes.flat_map(|scope| scope.metrics()).collect();
    for name in metrics {
        let is_there = measured.iter().any(|metric| metric.name() == *name);
        assert!(is_there, "{name}");
    }
    let spans = spans();
    let of_spans = spans.iter().flat_map(faults_of_span);
    let of_metrics = measured.into_iter().flat_map(faults_of_metric);
    let faults: Vec<_> = of_spans.chain(of_metrics).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
