//! The trace of an event, from the outbox through Kafka to its handler, and on to the dead letters.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use outbox::OutboxRecord;
use telemetry::{SamplingRatio, tracer_provider, use_providers};

use mock_kafka::{Broker, DEAD_LETTERS, Database, TOPIC, eventually};

/// Of no other test of this program: all spans land in one place.
const TRACE: &str = "7d1e2a90c4b84f6f9a3b5c8d7e6f1023";
const CREATOR: &str = "00f067aa0ba902b7";

static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = tracer_provider(SamplingRatio::ALL).with_simple_exporter(exporter.clone());
    use_providers(&provider.build(), None);
    exporter
});

/// The ended spans of the event's trace that are about messages; there are others about the database.
fn story() -> Vec<SpanData> {
    let spans = SPANS.get_finished_spans().unwrap();
    let trace = TraceId::from_hex(TRACE).unwrap();
    let is_about_messages = |span: &SpanData| {
        let mut keys = span.attributes.iter().map(|said| said.key.as_str());
        keys.any(|key| key == "messaging.system")
    };
    let of_trace = |span: &SpanData| span.span_context.trace_id() == trace;
    let spans = spans.into_iter().filter(of_trace);
    spans.filter(is_about_messages).collect()
}

/// Fails first, and then for good.
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

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_trace_from_the_outbox_to_the_dead_letters() {
    LazyLock::force(&SPANS);
    let traceparent = format!("00-{TRACE}-{CREATOR}-01");
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);
    let consumer = broker.start_consumer(Arc::new(Reluctant));

    let record = OutboxRecord {
        topic: TOPIC.into(),
        key: "key".to_owned(),
        headers: vec![(
            b"traceparent".to_vec(),
            Some(traceparent.clone().into_bytes()),
        )],
        payload: b"payload".to_vec(),
    };
    database.write(&[record]).await;

    eventually("the event is a dead letter", async || {
        story().iter().any(|span| span.name == "send events.dlq")
    })
    .await;
    let spans = story();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
    names.sort_unstable();
    let expected = [
        "process events",
        "process events",
        "send events",
        "send events.dlq",
    ];
    assert_eq!(names, expected);
    let creator = SpanId::from_hex(CREATOR).unwrap();
    for span in &spans {
        assert_eq!(span.parent_span_id, creator, "{}", span.name);
        let links: Vec<_> = span.links.iter().collect();
        assert_eq!(links.len(), 1, "{}", span.name);
        assert_eq!(links[0].span_context.span_id(), creator);
    }
    for topic in [TOPIC, DEAD_LETTERS] {
        let published = broker.read(topic);
        assert_eq!(
            published[0].header("traceparent"),
            Some(traceparent.as_str())
        );
    }
    consumer.stop().await;
    relay.stop().await;
}
