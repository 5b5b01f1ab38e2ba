//! Telemetry of an event, from the outbox through librdkafka's mock cluster to the dead-letter topic.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use outbox::OutboxRecord;
use telemetry::names::attributes::{MESSAGING_DESTINATION_NAME, MESSAGING_OPERATION_NAME};
use telemetry::vocabulary::Attribute;

use crate::recording;
use mock_kafka::{Broker, DEAD_LETTERS, Database, TOPIC, eventually};

/// A caller with a sampled trace.
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Fails the first attempt transiently and the second permanently.
struct Reluctant;

#[async_trait]
impl Handler for Reluctant {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        match delivery.attempt() {
            1 => Err(Failure::retry("not now")),
            _ => Err(Failure::reject("never")),
        }
    }
}

fn record() -> OutboxRecord {
    OutboxRecord {
        topic: TOPIC.into(),
        key: "key".to_owned(),
        headers: vec![(b"traceparent".to_vec(), Some(TRACEPARENT.into()))],
        payload: b"payload".to_vec(),
    }
}

/// Finds a span by attribute and not by name, because the name may be wrong.
fn has_span(attribute: Attribute, value: &str) -> bool {
    let told = attribute.of(value.to_owned());
    let spans = recording::spans();
    spans.iter().any(|span| span.attributes.contains(&told))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_telemetry_of_events_conforms_to_the_names() {
    recording::start();
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);
    let consumer = broker.start_consumer(Arc::new(Reluctant));

    database.write(&[record()]).await;
    eventually("it is a dead letter", async || {
        has_span(MESSAGING_DESTINATION_NAME, DEAD_LETTERS)
    })
    .await;
    consumer.stop().await;
    relay.stop().await;

    for operation in ["send", "poll", "process", "commit"] {
        assert!(has_span(MESSAGING_OPERATION_NAME, operation), "{operation}");
    }
    recording::assert_conforming(&[
        "messaging.client.operation.duration",
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
        "messaging.process.duration",
        "kafka.consumer.retries",
        "kafka.consumer.dead_letters",
    ]);
}
