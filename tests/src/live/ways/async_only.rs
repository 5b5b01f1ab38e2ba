//! Async only: "received" is all that the user is told. The outcome is read from the topic of processing-service.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use native_headers::write_native;
use proto::event::{OrderEvent, ProcessingEvent};
use proto::orders::v1::OrderPlaced;
use proto::record::{self, EventMeta};
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{ANSWER, OUTCOMES, WayOrder, WayOutcome, between};
use crate::stack::Stack;
use crate::system::Topic;

/// Pause between two looks at the topic.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(super) async fn run(stack: &Stack, orders: Vec<WayOrder>) -> Result<Vec<WayOutcome>> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &stack.addresses().kafka)
        // An acknowledged record is on every copy.
        .set("acks", "all")
        .set("message.timeout.ms", ANSWER.as_millis().to_string())
        .create()?;
    let topic = Topic::of(stack, ORDER_EVENTS);
    connect(producer.clone(), topic.name().to_owned()).await;
    let begun = SystemTime::now();
    let sends = orders
        .iter()
        .map(|order| receive(&producer, topic.name(), order));
    let answered = join_all(sends).await;
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
    let ended = outcomes(stack, &ids, begun).await?;
    let outcomes = ids.iter().zip(answered).map(|(id, answered)| WayOutcome {
        answered,
        ended: ended.get(id).copied(),
    });
    Ok(outcomes.collect())
}

/// Connects before the first order, as a front that has been running for a while. Without a broker the orders fail instead.
async fn connect(producer: FutureProducer, topic: String) {
    let ask = move || producer.client().fetch_metadata(Some(&topic), ANSWER);
    // librdkafka blocks the calling thread.
    let _ = tokio::task::spawn_blocking(ask).await;
}

/// Time until the record is acknowledged.
async fn receive(producer: &FutureProducer, topic: &str, order: &WayOrder) -> Option<Duration> {
    let placed = OrderPlaced {
        order_id: order.id.to_string(),
        customer_id: order.request.customer_id.clone(),
        lines: order.request.lines.clone(),
        total: Some(order.total.clone()),
        payment_token: order.request.payment_token.clone(),
    };
    let meta = EventMeta {
        id: Uuid::now_v7(),
        order_id: order.id,
        sequence: 1,
        time: SystemTime::now(),
    };
    let record = record::encode(&meta, &OrderEvent::OrderPlaced(placed), &[]);
    let kafka = FutureRecord::to(topic)
        .key(&record.key)
        .payload(&record.payload)
        .headers(write_native(&record.headers));
    let begun = Instant::now();
    let sent = timeout(ANSWER, producer.send(kafka, Duration::ZERO)).await;
    matches!(sent, Ok(Ok(_))).then(|| begun.elapsed())
}

/// The times of the final events of these orders, as far as there are any in time.
async fn outcomes(
    stack: &Stack,
    ids: &[Uuid],
    begun: SystemTime,
) -> Result<BTreeMap<Uuid, Duration>> {
    let topic = Topic::of(stack, PROCESSING_EVENTS);
    let deadline = Instant::now() + OUTCOMES;
    let mut ended = BTreeMap::new();
    while ended.len() < ids.len() && Instant::now() < deadline {
        let records = timeout(OUTCOMES, topic.records()).await;
        for record in records.context("the broker does not answer")?? {
            let payload = record.payload.as_deref();
            // Only the companion writes here; what it wrote in another comparison is of another order.
            let Ok(Some(event)) = record::decode::<ProcessingEvent>(&record.headers, payload)
            else {
                continue;
            };
            let is_final = matches!(
                event.event,
                ProcessingEvent::OrderFulfilled(_)
                    | ProcessingEvent::OrderRejected(_)
                    | ProcessingEvent::OrderCancelled(_)
            );
            if is_final && ids.contains(&event.meta.order_id) {
                ended.insert(event.meta.order_id, between(begun, event.meta.time));
            }
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(ended)
}
