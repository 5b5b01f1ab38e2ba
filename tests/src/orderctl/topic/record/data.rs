//! The events of both topics as JSON.

use proto::event::{OrderEvent, ProcessingEvent};
use serde_json::{Value, json};

use crate::client::vocabulary::rejection_name;
use crate::orderctl::orders::{line_json, money_json};

pub(super) fn of_order_event(event: &OrderEvent) -> Value {
    match event {
        OrderEvent::OrderPlaced(event) => json!({
            "order_id": event.order_id,
            "customer_id": event.customer_id,
            "lines": event.lines.iter().map(line_json).collect::<Vec<_>>(),
            "total": event.total.as_ref().map(money_json),
            "payment_token": event.payment_token,
        }),
        OrderEvent::CancellationRequested(event) => json!({ "order_id": event.order_id }),
    }
}

pub(super) fn of_processing_event(event: &ProcessingEvent) -> Value {
    match event {
        ProcessingEvent::StockReserved(event) => json!({ "order_id": event.order_id }),
        ProcessingEvent::PaymentCaptured(event) => json!({
            "order_id": event.order_id,
            "capture_id": event.capture_id,
            "amount": event.amount.as_ref().map(money_json),
        }),
        ProcessingEvent::OrderFulfilled(event) => json!({
            "order_id": event.order_id,
            "shipment_id": event.shipment_id,
        }),
        ProcessingEvent::OrderRejected(event) => json!({
            "order_id": event.order_id,
            "reason": rejection_name(event.reason),
            "sku": event.sku,
        }),
        ProcessingEvent::OrderCancelled(event) => json!({ "order_id": event.order_id }),
    }
}
