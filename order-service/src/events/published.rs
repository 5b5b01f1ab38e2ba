//! The events that this service publishes, as outbox records.
//!
//! They are encoded inside the span of the call, so each record carries the trace context; the writer stores bytes.

use outbox::OutboxRecord;
use proto::event::OrderEvent;
use proto::record::{self, EventMeta};
use proto::topics;
use telemetry::propagation::current_trace_headers;
use uuid::Uuid;

use crate::conversion;
use crate::domain::{Order, OrderId, PaymentToken, Timestamp};

/// The first event about an order.
const ORDER_PLACED_SEQUENCE: u64 = 1;

/// Published at most once per order; there is no third event.
const CANCELLATION_REQUESTED_SEQUENCE: u64 = 2;

pub fn order_placed(order: &Order, payment_token: &PaymentToken, event_id: Uuid) -> OutboxRecord {
    let meta = EventMeta {
        id: event_id,
        order_id: order.id.as_uuid(),
        sequence: ORDER_PLACED_SEQUENCE,
        time: order.created_at.into(),
    };
    let message = conversion::order_placed(order, payment_token);
    outbox_record(&meta, &OrderEvent::OrderPlaced(message))
}

pub fn cancellation_requested(order_id: OrderId, event_id: Uuid, at: Timestamp) -> OutboxRecord {
    let meta = EventMeta {
        id: event_id,
        order_id: order_id.as_uuid(),
        sequence: CANCELLATION_REQUESTED_SEQUENCE,
        time: at.into(),
    };
    let message = conversion::cancellation_requested(order_id);
    outbox_record(&meta, &OrderEvent::CancellationRequested(message))
}

fn outbox_record(meta: &EventMeta, event: &OrderEvent) -> OutboxRecord {
    let record = record::encode(meta, event, &current_trace_headers());
    OutboxRecord {
        topic: topics::ORDER_EVENTS.into(),
        key: meta.order_id.to_string(),
        headers: record.headers,
        payload: record.payload,
    }
}

#[cfg(test)]
mod tests {
    use proto::event::Event;
    use proto::record::Received;

    use super::*;

    #[test]
    fn an_event_is_read_back_from_its_record() {
        let order_id = OrderId::new(Uuid::from_u128(7));
        let at = Timestamp::from_unix_millis(1_000);

        let record = cancellation_requested(order_id, Uuid::from_u128(8), at);

        assert_eq!(record.topic, "orders.order.events.v1");
        assert_eq!(record.key, order_id.to_string());
        let received: Received<OrderEvent> = record::decode(&record.headers, Some(&record.payload))
            .unwrap()
            .unwrap();
        assert_eq!(received.event.identity().order_id, order_id.to_string());
        assert_eq!(received.meta.sequence, 2);
        assert_eq!(Timestamp::from(received.meta.time), at);
    }
}
