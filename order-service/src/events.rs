//! The events that this service publishes, as rows of the outbox.
//!
//! They are made where the decision is made, inside the span of the call: the trace context goes with the event, and
//! the writer only stores bytes.

use outbox::OutboxRecord;
use proto::event::OrderEvent;
use proto::record::{self, EventMeta};
use proto::topics;
use telemetry::propagation::current_trace_headers;
use uuid::Uuid;

use crate::convert;
use crate::domain::{Order, OrderId, PaymentToken, Timestamp};

/// An order is placed once, and first.
const ORDER_PLACED_SEQUENCE: u64 = 1;

/// A cancellation is requested once at most, and nothing else is ever published about an order.
const CANCELLATION_REQUESTED_SEQUENCE: u64 = 2;

/// The announcement of a new order.
pub fn order_placed(order: &Order, payment_token: &PaymentToken, event_id: Uuid) -> OutboxRecord {
    let meta = EventMeta {
        id: event_id,
        order_id: order.id.as_uuid(),
        sequence: ORDER_PLACED_SEQUENCE,
        time: order.created_at.into(),
    };
    let message = convert::order_placed(order, payment_token);
    outbox_record(&meta, &OrderEvent::OrderPlaced(message))
}

/// The announcement that a customer wants to cancel.
pub fn cancellation_requested(order_id: OrderId, event_id: Uuid, at: Timestamp) -> OutboxRecord {
    let meta = EventMeta {
        id: event_id,
        order_id: order_id.as_uuid(),
        sequence: CANCELLATION_REQUESTED_SEQUENCE,
        time: at.into(),
    };
    let message = convert::cancellation_requested(order_id);
    outbox_record(&meta, &OrderEvent::CancellationRequested(message))
}

fn outbox_record(meta: &EventMeta, event: &OrderEvent) -> OutboxRecord {
    let record = record::encode(meta, event, &current_trace_headers());
    OutboxRecord {
        topic: topics::ORDER_EVENTS,
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
        assert_eq!(received.event.order_id(), order_id.to_string());
        assert_eq!(received.meta.sequence, 2);
        assert_eq!(Timestamp::from(received.meta.time), at);
    }
}
