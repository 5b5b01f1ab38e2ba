//! Commands as the tests speak of them.

use std::sync::Arc;

use order_service::domain::{
    Availability, Currency, CustomerId, Money, NewOrder, Order, OrderEvent, OrderId, OrderLine,
    OrderLines, PaymentToken, Quantity, RequestId, Sku, Timestamp, UnitPrice,
};
use order_service::store::{ApplyOutcome, CancelOrder, PlaceOrder};
use outbox::OutboxRecord;
use uuid::Uuid;

/// A request of a customer for some pieces of one thing, under a request id of its own.
pub(crate) fn request(customer: &str, pieces: i32) -> NewOrder {
    let line = OrderLine {
        sku: Sku::parse("85123A").unwrap(),
        quantity: Quantity::parse(pieces).unwrap(),
        unit_price: UnitPrice::parse(Money {
            currency: Currency::Gbp,
            minor_units: 255,
        })
        .unwrap(),
    };
    NewOrder {
        request_id: RequestId::new(Uuid::new_v4()),
        customer_id: CustomerId::parse(customer).unwrap(),
        lines: OrderLines::new(vec![line]).unwrap(),
        payment_token: PaymentToken::parse("tok_approved").unwrap(),
    }
}

/// The command for a request; every call makes an order id of its own, as every call of the RPC does.
pub(crate) fn place(request: &NewOrder) -> PlaceOrder {
    place_with(request, Availability::Confirmed)
}

/// The same, with this known of the stock.
pub(crate) fn place_with(request: &NewOrder, availability: Availability) -> PlaceOrder {
    let order_id = OrderId::new(Uuid::now_v7());
    PlaceOrder {
        order: Order::placed(order_id, request, availability, at(1_000)),
        request_id: request.request_id,
        fingerprint: request.fingerprint(),
        event_id: Uuid::now_v7(),
        payment_token: request.payment_token.clone(),
        event: record(order_id, "OrderPlaced"),
    }
}

/// An outcome of processing about an order.
pub(crate) fn outcome(order_id: OrderId, sequence: u64, event: OrderEvent) -> ApplyOutcome {
    ApplyOutcome {
        order_id,
        event_id: Uuid::now_v7(),
        sequence,
        event: Some(event),
        occurred_at: at(2_000),
    }
}

/// A request to cancel an order.
pub(crate) fn cancel(order_id: OrderId) -> CancelOrder {
    CancelOrder {
        order_id,
        event_id: Uuid::now_v7(),
        requested_at: at(3_000),
        event: record(order_id, "CancellationRequested"),
    }
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn record(order_id: OrderId, name: &str) -> Arc<OutboxRecord> {
    Arc::new(OutboxRecord {
        topic: "orders.order.events.v1".into(),
        key: order_id.to_string(),
        headers: vec![(b"ce_type".to_vec(), Some(name.as_bytes().to_vec()))],
        payload: name.as_bytes().to_vec(),
    })
}
