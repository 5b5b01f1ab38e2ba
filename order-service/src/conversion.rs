//! Domain ⇄ protobuf: the messages of the API, the events of both topics, and the stored body.
//!
//! Requests of clients are parsed in [`crate::rpc`], which reports every violation; the input here was written by one of the
//! two services.

use std::time::SystemTime;

use prost::Message;
use proto::event::ProcessingEvent;
use proto::orders::v1 as messages;
use thiserror::Error;

use crate::domain::{
    Availability, Currency, HistoryEntry, Money, Order, OrderEvent, OrderId, OrderLine, OrderLines,
    OrderStatus, PaymentToken, Quantity, RejectionReason, Sku, Timestamp, UnitPrice,
};

pub fn order_message(order: &Order) -> messages::Order {
    messages::Order {
        order_id: order.id.to_string(),
        customer_id: order.customer_id.as_str().to_owned(),
        status: status_message(order.status).into(),
        version: version_message(order.version),
        lines: lines_message(&order.lines),
        total: Some(money_message(order.lines.total())),
        create_time: Some(time_message(order.created_at)),
        update_time: Some(time_message(order.updated_at)),
        rejection_reason: reason_message(order.status).into(),
        availability: availability_message(order.availability).into(),
    }
}

pub fn history_entry_message(entry: &HistoryEntry) -> messages::OrderHistoryEntry {
    messages::OrderHistoryEntry {
        order_id: entry.order_id.to_string(),
        version: version_message(entry.version),
        event_type: entry.event_type.name().to_owned(),
        status: status_message(entry.status).into(),
        occur_time: Some(time_message(entry.occurred_at)),
        rejection_reason: reason_message(entry.status).into(),
    }
}

/// The only message that carries the payment token.
pub fn order_placed(order: &Order, payment_token: &PaymentToken) -> messages::OrderPlaced {
    messages::OrderPlaced {
        order_id: order.id.to_string(),
        customer_id: order.customer_id.as_str().to_owned(),
        lines: lines_message(&order.lines),
        total: Some(money_message(order.lines.total())),
        payment_token: payment_token.expose().to_owned(),
    }
}

pub fn cancellation_requested(order_id: OrderId) -> messages::CancellationRequested {
    messages::CancellationRequested {
        order_id: order_id.to_string(),
    }
}

/// Maps each event of processing-service to the event of the state machine.
pub fn outcome(event: &ProcessingEvent) -> OrderEvent {
    match event {
        ProcessingEvent::StockReserved(_) => OrderEvent::StockReserved,
        ProcessingEvent::PaymentCaptured(_) => OrderEvent::PaymentCaptured,
        ProcessingEvent::OrderFulfilled(_) => OrderEvent::OrderFulfilled,
        ProcessingEvent::OrderRejected(event) => OrderEvent::OrderRejected(reason(event.reason())),
        ProcessingEvent::OrderCancelled(_) => OrderEvent::OrderCancelled,
    }
}

/// The stored body is not one that [`encode_body`] writes.
#[derive(Debug, Error)]
pub enum DamagedBody {
    #[error("the stored body is not a protobuf message")]
    Undecodable(#[from] prost::DecodeError),
    /// The message violates a rule that was checked before it was stored.
    #[error("the stored body violates a domain rule: {0}")]
    Invalid(String),
}

/// The stored form of the lines and their total.
pub fn encode_body(lines: &OrderLines) -> Vec<u8> {
    let body = messages::Order {
        lines: lines_message(lines),
        total: Some(money_message(lines.total())),
        ..messages::Order::default()
    };
    body.encode_to_vec()
}

/// # Errors
/// [`DamagedBody`] for other bytes than [`encode_body`] writes.
pub fn decode_body(bytes: &[u8]) -> Result<OrderLines, DamagedBody> {
    let body = messages::Order::decode(bytes)?;
    let lines: Result<Vec<OrderLine>, DamagedBody> = body.lines.into_iter().map(line).collect();
    OrderLines::new(lines?).map_err(invalid)
}

fn line(message: messages::OrderLine) -> Result<OrderLine, DamagedBody> {
    let price = message.unit_price.unwrap_or_default();
    let price = Money {
        currency: Currency::parse(&price.currency_code).map_err(invalid)?,
        minor_units: price.minor_units,
    };
    Ok(OrderLine {
        sku: Sku::parse(message.sku).map_err(invalid)?,
        quantity: Quantity::parse(message.quantity).map_err(invalid)?,
        unit_price: UnitPrice::parse(price).map_err(invalid)?,
    })
}

fn invalid(rule: impl std::error::Error) -> DamagedBody {
    DamagedBody::Invalid(rule.to_string())
}

fn lines_message(lines: &OrderLines) -> Vec<messages::OrderLine> {
    let message = |line: &OrderLine| messages::OrderLine {
        sku: line.sku.as_str().to_owned(),
        quantity: line.quantity.get(),
        unit_price: Some(money_message(line.unit_price.money())),
    };
    lines.as_slice().iter().map(message).collect()
}

fn money_message(money: Money) -> messages::Money {
    messages::Money {
        currency_code: money.currency.code().to_owned(),
        minor_units: money.minor_units,
    }
}

fn time_message(at: Timestamp) -> prost_types::Timestamp {
    SystemTime::from(at).into()
}

/// The contract has `int64`; no history grows to 2^63 entries.
fn version_message(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn status_message(status: OrderStatus) -> messages::OrderStatus {
    match status {
        OrderStatus::Accepted => messages::OrderStatus::Accepted,
        OrderStatus::Processing => messages::OrderStatus::Processing,
        OrderStatus::CancelRequested => messages::OrderStatus::CancelRequested,
        OrderStatus::Fulfilled => messages::OrderStatus::Fulfilled,
        OrderStatus::Rejected(_) => messages::OrderStatus::Rejected,
        OrderStatus::Cancelled => messages::OrderStatus::Cancelled,
    }
}

fn reason_message(status: OrderStatus) -> messages::RejectionReason {
    match status.rejection_reason() {
        None | Some(RejectionReason::Unspecified) => messages::RejectionReason::Unspecified,
        Some(RejectionReason::UnknownSku) => messages::RejectionReason::UnknownSku,
        Some(RejectionReason::OutOfStock) => messages::RejectionReason::OutOfStock,
        Some(RejectionReason::PaymentDeclined) => messages::RejectionReason::PaymentDeclined,
        Some(RejectionReason::PaymentUnavailable) => messages::RejectionReason::PaymentUnavailable,
    }
}

fn availability_message(availability: Availability) -> messages::Availability {
    match availability {
        Availability::NotChecked => messages::Availability::NotChecked,
        Availability::Confirmed => messages::Availability::Confirmed,
        Availability::Unverified => messages::Availability::Unverified,
    }
}

/// A reason of a later release of processing-service becomes `Unspecified`: the order must still end.
fn reason(message: messages::RejectionReason) -> RejectionReason {
    match message {
        messages::RejectionReason::Unspecified => RejectionReason::Unspecified,
        messages::RejectionReason::UnknownSku => RejectionReason::UnknownSku,
        messages::RejectionReason::OutOfStock => RejectionReason::OutOfStock,
        messages::RejectionReason::PaymentDeclined => RejectionReason::PaymentDeclined,
        messages::RejectionReason::PaymentUnavailable => RejectionReason::PaymentUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use proto::processing::v1::OrderRejected;
    use strum::VariantArray;

    use super::*;

    fn lines() -> OrderLines {
        let price = Money {
            currency: Currency::Gbp,
            minor_units: 255,
        };
        let line = OrderLine {
            sku: Sku::parse("85123A").unwrap(),
            quantity: Quantity::parse(6).unwrap(),
            unit_price: UnitPrice::parse(price).unwrap(),
        };
        OrderLines::new(vec![line.clone(), line]).unwrap()
    }

    /// The names are stored: renaming a variant must not change them.
    #[test]
    fn the_names_of_states_and_reasons_are_those_of_the_contract() {
        for availability in Availability::ALL {
            let name = availability_message(availability).as_str_name();
            assert_eq!(name, format!("AVAILABILITY_{}", availability.name()));
        }
        for status in [
            OrderStatus::Accepted,
            OrderStatus::Processing,
            OrderStatus::CancelRequested,
            OrderStatus::Fulfilled,
            OrderStatus::Cancelled,
        ] {
            let name = status_message(status).as_str_name();
            assert_eq!(name, format!("ORDER_STATUS_{}", status.name()));
        }
        for &reason in RejectionReason::VARIANTS {
            let name = reason_message(OrderStatus::Rejected(reason)).as_str_name();
            assert_eq!(name, format!("REJECTION_REASON_{}", reason.name()));
        }
    }

    #[test]
    fn a_stored_body_is_read_back() {
        assert_eq!(decode_body(&encode_body(&lines())).unwrap(), lines());
    }

    #[test]
    fn a_damaged_body_is_an_error() {
        assert!(matches!(
            decode_body(b"\xff\xff"),
            Err(DamagedBody::Undecodable(_))
        ));
        assert!(matches!(decode_body(b""), Err(DamagedBody::Invalid(_))));
    }

    #[test]
    fn a_rejection_with_an_unknown_reason_still_rejects_the_order() {
        let event = OrderRejected {
            reason: 999,
            ..OrderRejected::default()
        };

        assert_eq!(
            outcome(&ProcessingEvent::OrderRejected(event)),
            OrderEvent::OrderRejected(RejectionReason::Unspecified)
        );
    }
}
