//! Records that the broker deletes before they are read.
//!
//! A partition of the mock cluster keeps 5 MiB and deletes its oldest records beyond that.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use mock_kafka::{Broker, eventually};
use opentelemetry::global;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use uuid::Uuid;

const METRIC: &str = "kafka.consumer.deleted_unread";

const PARTITION: i32 = 1;

/// Nine of them exceed what a partition keeps.
const LARGE: usize = 900_000;

/// Remembers the offsets that it gets.
#[derive(Default)]
struct Offsets(Mutex<Vec<i64>>);

#[async_trait]
impl Handler for Offsets {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        self.0.lock().unwrap().push(delivery.offset);
        Ok(())
    }
}

struct Metrics {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// Records the metrics of everything that starts after it.
    fn record() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        global::set_meter_provider(provider.clone());
        Self { exporter, provider }
    }

    /// The deleted records of each partition: its labels and their number.
    fn deleted(&self) -> Vec<(String, u64)> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let exported = self.exporter.get_finished_metrics().unwrap();
        let scopes = exported.iter().flat_map(|metrics| metrics.scope_metrics());
        let metrics = scopes.flat_map(|scope| scope.metrics());
        let mut deleted = Vec::new();
        for metric in metrics.filter(|metric| metric.name() == METRIC) {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                continue;
            };
            for point in sum.data_points() {
                let labels = point.attributes();
                let mut labels: Vec<_> = labels
                    .map(|of| format!("{}={}", of.key, of.value))
                    .collect();
                labels.sort();
                deleted.push((labels.join(" "), point.value()));
            }
        }
        deleted
    }
}

async fn publish_large(broker: &Broker, count: usize) {
    // Random, since the producer compresses.
    let digits = (0..LARGE / 32).map(|_| Uuid::new_v4().simple().to_string());
    let payload: String = digits.collect();
    for _ in 0..count {
        broker.publish_to(PARTITION, "large", &payload).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_before_they_were_read_are_counted_and_the_rest_is_handled() {
    let metrics = Metrics::record();
    let broker = Broker::start();
    publish_large(&broker, 9).await;
    let handler = Arc::new(Offsets::default());
    // A new group: the log does not begin at 0, and nothing is skipped.
    let consumer = broker.start_consumer(handler.clone());
    eventually("a new group reads what there is", async || {
        broker.committed(PARTITION).await == 9
    })
    .await;
    let first = handler.0.lock().unwrap()[0];
    assert!(first > 0, "the broker has deleted nothing");
    consumer.stop().await;
    assert_eq!(metrics.deleted(), []);

    publish_large(&broker, 9).await;
    let consumer = broker.start_consumer(handler.clone());
    eventually("the rest is handled", async || {
        broker.committed(PARTITION).await == 18
    })
    .await;

    let received = handler.0.lock().unwrap().clone();
    let next = *received.iter().find(|offset| **offset >= 9).unwrap();
    let expected = u64::try_from(next - 9).unwrap();
    assert!(expected > 0, "the broker has deleted nothing: {received:?}");
    eventually("the deleted records are counted", async || {
        !metrics.deleted().is_empty()
    })
    .await;
    let labels = "messaging.consumer.group.name=group messaging.destination.name=events \
                  messaging.destination.partition.id=1";
    assert_eq!(metrics.deleted(), [(labels.to_owned(), expected)]);
    consumer.stop().await;
}
