//! "Received": the order is on Kafka, acknowledged by all copies. Nothing about the order is checked or stored before.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use native_headers::write_native;
use proto::event::OrderEvent;
use proto::record::{self, EventMeta};
use proto::topics::ORDER_EVENTS;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::order::StudyOrder;
use super::super::scenario::CHECKOUT;
use super::super::site::Site;

/// The code of a record that was not acknowledged.
const NOT_ACKNOWLEDGED: &str = "NOT_ACKNOWLEDGED";

#[derive(Clone)]
pub(in super::super) struct Received {
    producer: FutureProducer,
}

impl Received {
    pub(super) fn open(site: &Site) -> Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", site.broker()?)
            // An acknowledged record is on every copy.
            .set("acks", "all")
            // An idempotent producer fails for good when a record times out while the broker is down. Without it, a retry of
            // the library may write a record twice, which the saga of the order absorbs.
            .set("enable.idempotence", "false")
            // A record that is not acknowledged by the deadline of its checkout is not sent any more.
            .set("message.timeout.ms", CHECKOUT.as_millis().to_string())
            .set("reconnect.backoff.max.ms", "200")
            .create()?;
        Ok(Self { producer })
    }

    /// Writes the order as the event that order-service would publish.
    ///
    /// # Errors
    /// The cause, as a code, if it is not acknowledged by the deadline.
    pub(super) async fn receive(
        &self,
        order: &StudyOrder,
        deadline: Instant,
    ) -> Result<(), String> {
        let meta = EventMeta {
            // The same for a retry: it is the same event.
            id: Uuid::new_v5(&Uuid::NAMESPACE_OID, order.id.as_bytes()),
            order_id: order.id,
            sequence: 1,
            time: SystemTime::now(),
        };
        let event = OrderEvent::OrderPlaced(order.placed());
        let record = record::encode(&meta, &event, &[]);
        let kafka = FutureRecord::to(ORDER_EVENTS)
            .key(&record.key)
            .payload(&record.payload)
            .headers(write_native(&record.headers));
        let sending = self.producer.send(kafka, Duration::ZERO);
        match tokio::time::timeout_at(deadline, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NOT_ACKNOWLEDGED.to_owned()),
        }
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Received").finish_non_exhaustive()
    }
}
