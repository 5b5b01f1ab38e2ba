//! Checks emitted telemetry against the names: no unknown span, metric or attribute, no missing required attribute, and
//! the defined types, units, instruments and boundaries.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::trace::SpanData;
use telemetry::names::{metrics, spans};
use telemetry::vocabulary::{Instrument, Requirement, SpanType, Use, ValueType};

/// The faults of a span. Its name does not identify its type, so the best match counts.
pub(crate) fn faults_of_span(span: &SpanData) -> Vec<String> {
    let of_kind = |known: &&&SpanType| known.kind == span.span_kind;
    let known = spans::ALL.iter().filter(of_kind);
    let faults = known.map(|known| faults_as(known, span));
    let unknown = || vec![format!("{}: unknown", span.name)];
    faults.min_by_key(Vec::len).unwrap_or_else(unknown)
}

fn faults_as(known: &SpanType, span: &SpanData) -> Vec<String> {
    let mut faults = faults_of_attributes(&span.name, known.attributes, &span.attributes);
    let expected = filled_in(known.name, &span.attributes);
    if span.name != expected {
        faults.push(format!("{}: should be {expected}", span.name));
    }
    faults
}

/// Replaces the attribute names in braces by the attributes of the span.
fn filled_in(pattern: &str, attributes: &[KeyValue]) -> String {
    let mut name = pattern.to_owned();
    for attribute in attributes {
        let place = format!("{{{}}}", attribute.key);
        name = name.replace(&place, &attribute.value.as_str());
    }
    // The conventions name the span of an unknown method after the system.
    name.replace("_OTHER", "grpc")
}

pub(crate) fn faults_of_metric(metric: &Metric) -> Vec<String> {
    let name = metric.name();
    let Some(known) = metrics::ALL.iter().find(|known| known.name == name) else {
        return vec![format!("{name}: unknown")];
    };
    let mut faults = Vec::new();
    if metric.unit() != known.unit {
        faults.push(format!("{name}: unit {}", metric.unit()));
    }
    let (is_kind, points) = match metric.data() {
        AggregatedMetrics::F64(data) => (is_kind(data, known.instrument), points(data)),
        AggregatedMetrics::U64(data) => (is_kind(data, known.instrument), points(data)),
        AggregatedMetrics::I64(data) => (is_kind(data, known.instrument), points(data)),
    };
    if !is_kind {
        faults.push(format!("{name}: instrument or boundaries"));
    }
    let of_points = points.iter();
    faults.extend(of_points.flat_map(|point| faults_of_attributes(name, known.attributes, point)));
    faults
}

/// Whether the data has this instrument type.
fn is_kind<T>(data: &MetricData<T>, instrument: Instrument) -> bool {
    match (data, instrument) {
        (MetricData::Histogram(histogram), Instrument::Histogram(boundaries)) => histogram
            .data_points()
            .all(|point| point.bounds().eq(boundaries.iter().copied())),
        (MetricData::Sum(sum), Instrument::Counter) => sum.is_monotonic(),
        (MetricData::Sum(sum), Instrument::UpDownCounter) => !sum.is_monotonic(),
        (MetricData::Gauge(_), Instrument::Gauge) => true,
        _ => false,
    }
}

fn points<T>(data: &MetricData<T>) -> Vec<Vec<KeyValue>> {
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|point| point.attributes().cloned().collect())
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|point| point.attributes().cloned().collect())
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|point| point.attributes().cloned().collect())
            .collect(),
        MetricData::ExponentialHistogram(_) => Vec::new(),
    }
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
