//! Whether what was emitted is what the names say: no unknown span, metric or attribute, nothing required that is missing,
//! and no other type, unit, instrument or boundary.

use chassis::telemetry::names::{metrics, spans};
use chassis::telemetry::vocabulary::{Instrument, Requirement, SpanType, Use, ValueType};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::trace::SpanData;

/// What is wrong with a span. Names do not tell which kind it is: it is the one that fits best.
pub(crate) fn faults_of_span(span: &SpanData) -> Vec<String> {
    let of_kind = |known: &&&SpanType| known.kind == span.span_kind;
    let known = spans::ALL.iter().filter(of_kind);
    let faults =
        known.map(|known| faults_of_attributes(&span.name, known.attributes, &span.attributes));
    let unknown = || vec![format!("{}: unknown", span.name)];
    faults.min_by_key(Vec::len).unwrap_or_else(unknown)
}

/// What is wrong with a metric.
pub(crate) fn faults_of_metric(metric: &Metric) -> Vec<String> {
    let name = metric.name();
    let Some(known) = metrics::ALL.iter().find(|known| known.name == name) else {
        return vec![format!("{name}: unknown")];
    };
    let mut faults = Vec::new();
    if metric.unit() != known.unit {
        faults.push(format!("{name}: unit {}", metric.unit()));
    }
    let (is_kind, points) = match (metric.data(), known.instrument) {
        (
            AggregatedMetrics::F64(MetricData::Histogram(data)),
            Instrument::Histogram(boundaries),
        ) => {
            let points: Vec<_> = data.data_points().collect();
            let is_kind = points
                .iter()
                .all(|point| point.bounds().eq(boundaries.iter().copied()));
            let attributes = points
                .iter()
                .map(|point| point.attributes().cloned().collect());
            (is_kind, attributes.collect())
        }
        (AggregatedMetrics::U64(MetricData::Sum(sum)), Instrument::Counter) => {
            let points = sum
                .data_points()
                .map(|point| point.attributes().cloned().collect());
            (sum.is_monotonic(), points.collect::<Vec<Vec<_>>>())
        }
        (AggregatedMetrics::U64(MetricData::Gauge(gauge)), Instrument::Gauge) => {
            let points = gauge
                .data_points()
                .map(|point| point.attributes().cloned().collect());
            (true, points.collect())
        }
        _ => (false, Vec::new()),
    };
    if !is_kind {
        faults.push(format!("{name}: instrument or boundaries"));
    }
    let of_points = points.iter();
    faults.extend(of_points.flat_map(|point| faults_of_attributes(name, known.attributes, point)));
    faults
}

fn faults_of_attributes(of: &str, uses: &[Use], attributes: &[KeyValue]) -> Vec<String> {
    let is_there = |used: &&Use| {
        attributes
            .iter()
            .any(|a| a.key.as_str() == used.attribute.name)
    };
    let required = uses
        .iter()
        .filter(|used| used.requirement == Requirement::Required);
    let missing = required.filter(|used| !is_there(used));
    let missing = missing.map(|used| format!("{of}: {} is missing", used.attribute.name));
    let wrong = attributes.iter().filter_map(|attribute| {
        let name = attribute.key.as_str();
        let Some(used) = uses.iter().find(|used| used.attribute.name == name) else {
            return Some(format!("{of}: {name} is unknown"));
        };
        let is_right = matches!(
            (used.attribute.value, &attribute.value),
            (ValueType::Text, Value::String(_))
                | (ValueType::Int, Value::I64(_))
                | (ValueType::Flag, Value::Bool(_))
        );
        (!is_right).then(|| format!("{of}: {name} has another type"))
    });
    missing.chain(wrong).collect()
}
