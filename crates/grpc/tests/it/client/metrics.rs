//! Metrics of a client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc::client::BreakerRules;
use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use telemetry::use_providers;
use tonic::Code;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{LENIENT, RETRYING, TestClient, closed_port};
use crate::recording;

/// Values by instrument and attributes.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<BTreeMap<String, u64>>>);

impl Board {
    fn note<'a>(&self, name: &str, attributes: impl Iterator<Item = &'a KeyValue>, value: u64) {
        let mut attributes: Vec<_> = attributes
            .filter(|attribute| attribute.key.as_str() != "dependency")
            .map(|attribute| format!(" {}={}", attribute.key, attribute.value))
            .collect();
        attributes.sort();
        let name = format!("{name}{}", attributes.concat());
        self.0.lock().unwrap().insert(name, value);
    }
}

impl PushMetricExporter for Board {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Gauge(gauge)) => gauge
                    .data_points()
                    .for_each(|point| self.note(metric.name(), point.attributes(), point.value())),
                AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
                    .data_points()
                    .for_each(|point| self.note(metric.name(), point.attributes(), point.value())),
                _ => {}
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

#[tokio::test]
async fn breaker_endpoints_and_retries_are_measured() {
    let board = Board::default();
    let reader = PeriodicReader::builder(board.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    use_providers(&recording::tracers(), Some(&provider));
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let rules = BreakerRules {
        least_calls: 10,
        ..LENIENT
    };
    let replicas = [server.address, closed_port().await];
    let client = TestClient::new(RETRYING, rules, &replicas);
    client.observe();

    for _ in 0..12 {
        client.call().await.unwrap_err();
    }

    provider.force_flush().unwrap();
    let shown = board.0.lock().unwrap().clone();
    assert_eq!(shown["client.breaker.state"], 2);
    assert_eq!(shown["client.breaker.transitions to=open"], 1);
    assert_eq!(shown["client.breaker.transitions to=closed"], 0);
    assert_eq!(shown["client.breaker.refused"], 2);
    assert_eq!(shown["client.endpoints state=in_use"], 1);
    assert_eq!(shown["client.endpoints state=ejected"], 1);
    assert!(shown["client.endpoint.ejections"] >= 1);
    assert_eq!(shown["client.retries outcome=made"], 20);
    assert_eq!(shown["client.retries outcome=withheld"], 0);
}
