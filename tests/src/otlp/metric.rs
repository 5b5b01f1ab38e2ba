//! Received metrics: name, unit, instrument and attributes, without the values.

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric as SentMetric};
use prost::{DecodeError, Message as _};

use super::value::{Attributes, attributes, service};

/// A metric of one export.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub service: String,
    pub name: String,
    pub unit: String,
    pub instrument: InstrumentKind,
    /// Attributes of each time series.
    pub series: Vec<Attributes>,
}

/// The kind of instrument.
#[derive(Clone, Debug, PartialEq)]
pub enum InstrumentKind {
    /// A monotonic sum.
    Counter,
    /// A non-monotonic sum.
    UpDownCounter,
    /// The current value.
    Gauge,
    /// With these bucket boundaries.
    Histogram(Vec<f64>),
    /// Not sent by the services.
    Other,
}

pub(super) fn decode(body: Bytes) -> Result<Vec<Metric>, DecodeError> {
    let request = ExportMetricsServiceRequest::decode(body)?;
    let mut metrics = Vec::new();
    for resource_metrics in request.resource_metrics {
        let service = service(resource_metrics.resource);
        let scopes = resource_metrics.scope_metrics.into_iter();
        let sent = scopes.flat_map(|scope| scope.metrics);
        metrics.extend(sent.map(|metric| received(metric, &service)));
    }
    Ok(metrics)
}

fn received(sent: SentMetric, service: &str) -> Metric {
    let (instrument, series) = match sent.data {
        Some(Data::Sum(sum)) => {
            let instrument = match sum.is_monotonic {
                true => InstrumentKind::Counter,
                false => InstrumentKind::UpDownCounter,
            };
            let points = sum.data_points.into_iter();
            (instrument, series(points.map(|point| point.attributes)))
        }
        Some(Data::Gauge(gauge)) => {
            let points = gauge.data_points.into_iter();
            (
                InstrumentKind::Gauge,
                series(points.map(|point| point.attributes)),
            )
        }
        Some(Data::Histogram(histogram)) => of_histogram(histogram.data_points),
        _ => (InstrumentKind::Other, Vec::new()),
    };
    Metric {
        service: service.to_owned(),
        name: sent.name,
        unit: sent.unit,
        instrument,
        series,
    }
}

fn of_histogram(points: Vec<HistogramDataPoint>) -> (InstrumentKind, Vec<Attributes>) {
    let boundaries = points.first().map(|point| point.explicit_bounds.clone());
    let instrument = InstrumentKind::Histogram(boundaries.unwrap_or_default());
    let points = points.into_iter();
    (instrument, series(points.map(|point| point.attributes)))
}

fn series(points: impl Iterator<Item = Vec<KeyValue>>) -> Vec<Attributes> {
    points.map(attributes).collect()
}
