//! The last value of every time series: a number, or the count of a histogram.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use prost::{DecodeError, Message as _};

use super::value::{Attributes, attributes, service};

/// Capacity in series; a pair has a few hundred, and every restart of a process adds its own.
const MAX_SERIES: usize = 10_000;

/// A series that has no value for this long is forgotten: its process is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// A value of a time series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub service: String,
    /// `service.instance.id`, which is new in every process.
    pub instance: String,
    pub name: String,
    pub attributes: Attributes,
    pub value: f64,
    pub received: Instant,
}

/// The last samples, by series.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<String, Sample>);

impl Samples {
    pub(super) fn add(&mut self, samples: Vec<Sample>) {
        self.0
            .retain(|_, sample| sample.received.elapsed() < FORGOTTEN_AFTER);
        for sample in samples {
            let key = format!(
                "{} {} {:?}",
                sample.instance, sample.name, sample.attributes
            );
            if self.0.len() < MAX_SERIES || self.0.contains_key(&key) {
                self.0.insert(key, sample);
            }
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Sample> {
        self.0.values()
    }
}

pub(super) fn decode(body: Bytes) -> Result<Vec<Sample>, DecodeError> {
    let request = ExportMetricsServiceRequest::decode(body)?;
    let mut samples = Vec::new();
    for resource_metrics in request.resource_metrics {
        let resource = resource_metrics.resource;
        let instance = attributes(
            resource
                .clone()
                .map(|all| all.attributes)
                .unwrap_or_default(),
        );
        let instance = instance.get("service.instance.id").map(ToString::to_string);
        let empty = Sample {
            service: service(resource),
            instance: instance.unwrap_or_default(),
            name: String::new(),
            attributes: Attributes::new(),
            value: 0.0,
            received: Instant::now(),
        };
        let scopes = resource_metrics.scope_metrics.into_iter();
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let points = metric.data.map(points).unwrap_or_default();
            samples.extend(points.into_iter().map(|(attributes, value)| Sample {
                name: metric.name.clone(),
                attributes,
                value,
                ..empty.clone()
            }));
        }
    }
    Ok(samples)
}

fn points(data: Data) -> Vec<(Attributes, f64)> {
    match data {
        Data::Gauge(gauge) => gauge.data_points.into_iter().map(number).collect(),
        Data::Sum(sum) => sum.data_points.into_iter().map(number).collect(),
        Data::Histogram(histogram) => histogram.data_points.into_iter().map(count).collect(),
        // Not sent by the services.
        _ => Vec::new(),
    }
}

fn number(point: NumberDataPoint) -> (Attributes, f64) {
    let value = match point.value {
        Some(Value::AsDouble(value)) => value,
        Some(Value::AsInt(value)) => value as f64,
        None => 0.0,
    };
    (attributes(point.attributes), value)
}

fn count(point: HistogramDataPoint) -> (Attributes, f64) {
    (attributes(point.attributes), point.count as f64)
}
