//! Conversion between the contract's messages and the domain, in both directions. Requests are parsed beside
//! their methods, in `rpc`.

use prost::Message;
use proto::event::ProcessingEvent;
use proto::inventory::v1 as inventory;
use proto::orders::v1 as orders;
use proto::processing::v1 as processing;
use uuid::Uuid;

use crate::domain::{
    Announcement, Currency, Demand, Malformed, Money, Order, OrderId, PaymentToken, Quantity,
    Rejection, RejectionReason, SagaState, Sku, Supply,
};

/// Maximum lines per order, as in the contract.
pub(crate) const LINE_LIMIT: usize = 500;

/// An invalid field of an event: a defect of its producer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field}")]
pub struct InvalidField {
    field: &'static str,
    source: Malformed,
}

pub fn order(message: &orders::OrderPlaced) -> Result<Order, InvalidField> {
    Ok(Order {
        id: order_id(&message.order_id)?,
        demand: demand(&message.lines)?,
        total: money(message.total.as_ref())?,
        payment_token: in_field("payment_token", PaymentToken::parse(&message.payment_token))?,
    })
}

pub fn order_id(text: &str) -> Result<OrderId, InvalidField> {
    let id = Uuid::try_parse(text).map_err(|_| Malformed::expected("a UUID"));
    in_field("order_id", id.map(OrderId::new))
}

fn demand(lines: &[orders::OrderLine]) -> Result<Demand, InvalidField> {
    if !(1..=LINE_LIMIT).contains(&lines.len()) {
        return in_field("lines", Err(Malformed::expected("1 to 500 lines")));
    }
    summed(lines)
}

fn summed(lines: &[orders::OrderLine]) -> Result<Demand, InvalidField> {
    let parsed = lines.iter().map(|line| {
        let sku = in_field("lines.sku", Sku::parse(&line.sku))?;
        Ok((
            sku,
            in_field("lines.quantity", Quantity::new(line.quantity))?,
        ))
    });
    Ok(Demand::of(parsed.collect::<Result<Vec<_>, _>>()?))
}

fn money(message: Option<&orders::Money>) -> Result<Money, InvalidField> {
    let message = message.ok_or(Malformed::expected("an amount"));
    let message = in_field("total", message)?;
    let currency = in_field(
        "total.currency_code",
        Currency::parse(&message.currency_code),
    )?;
    in_field(
        "total.minor_units",
        Money::new(currency, message.minor_units),
    )
}

fn in_field<T>(field: &'static str, parsed: Result<T, Malformed>) -> Result<T, InvalidField> {
    parsed.map_err(|source| InvalidField { field, source })
}

/// The column `sagas.lines`, the inverse of [`stored_demand`]: an `OrderPlaced` with the pieces of each SKU. Customer and
/// payment data are left out: they are not needed again.
pub fn stored_order(order_id: OrderId, demand: &Demand) -> Vec<u8> {
    let lines = demand
        .iter()
        .flat_map(|(sku, pieces)| stored_lines(sku, pieces));
    let message = orders::OrderPlaced {
        order_id: order_id.to_string(),
        lines: lines.collect(),
        ..orders::OrderPlaced::default()
    };
    message.encode_to_vec()
}

/// The inverse of [`stored_order`]; `None` if the bytes are damaged.
pub fn stored_demand(bytes: &[u8]) -> Option<Demand> {
    let message = orders::OrderPlaced::decode(bytes).ok()?;
    summed(&message.lines).ok()
}

/// One SKU can need several lines: its sum can exceed the limit of a line.
fn stored_lines(sku: &Sku, pieces: i64) -> impl Iterator<Item = orders::OrderLine> {
    Quantity::split(pieces).map(|quantity| orders::OrderLine {
        sku: sku.as_str().to_owned(),
        quantity: quantity.pieces(),
        unit_price: None,
    })
}

/// The event to publish.
pub fn event(order_id: OrderId, announcement: Announcement) -> ProcessingEvent {
    let order_id = order_id.to_string();
    match announcement {
        Announcement::StockReserved => {
            ProcessingEvent::StockReserved(processing::StockReserved { order_id })
        }
        Announcement::PaymentCaptured(capture_id, amount) => {
            ProcessingEvent::PaymentCaptured(processing::PaymentCaptured {
                order_id,
                capture_id: capture_id.as_str().to_owned(),
                amount: Some(money_message(amount)),
            })
        }
        Announcement::OrderFulfilled(shipment_id) => {
            let shipment_id = shipment_id.to_string();
            ProcessingEvent::OrderFulfilled(processing::OrderFulfilled {
                order_id,
                shipment_id,
            })
        }
        Announcement::OrderRejected(rejection) => {
            ProcessingEvent::OrderRejected(rejected(order_id, rejection))
        }
        Announcement::OrderCancelled => {
            ProcessingEvent::OrderCancelled(processing::OrderCancelled { order_id })
        }
    }
}

fn rejected(order_id: String, rejection: Rejection) -> processing::OrderRejected {
    processing::OrderRejected {
        order_id,
        reason: reason(rejection.reason).into(),
        sku: rejection
            .sku
            .map(|sku| sku.as_str().to_owned())
            .unwrap_or_default(),
    }
}

fn reason(reason: RejectionReason) -> orders::RejectionReason {
    match reason {
        RejectionReason::UnknownSku => orders::RejectionReason::UnknownSku,
        RejectionReason::OutOfStock => orders::RejectionReason::OutOfStock,
        RejectionReason::PaymentDeclined => orders::RejectionReason::PaymentDeclined,
        RejectionReason::PaymentUnavailable => orders::RejectionReason::PaymentUnavailable,
    }
}

/// The available quantity is given only if it is short: a client must not see how much stock remains beyond its request.
pub fn item_availability(sku: &Sku, supply: Supply) -> inventory::ItemAvailability {
    let (status, available_quantity) = match supply {
        Supply::Enough => (inventory::ItemStatus::Available, 0),
        Supply::Short(available) => (inventory::ItemStatus::OutOfStock, available),
        Supply::Unknown => (inventory::ItemStatus::UnknownSku, 0),
    };
    inventory::ItemAvailability {
        sku: sku.as_str().to_owned(),
        status: status.into(),
        available_quantity,
    }
}

/// The reply about an order in this state; `None` if the state is not final.
pub fn outcome(state: SagaState) -> Option<processing::ProcessOrderResponse> {
    let (status, rejection) = match state {
        SagaState::Fulfilled => (orders::OrderStatus::Fulfilled, None),
        SagaState::Rejected(why) => (orders::OrderStatus::Rejected, Some(reason(why))),
        SagaState::Cancelled => (orders::OrderStatus::Cancelled, None),
        SagaState::Placed
        | SagaState::Reserved
        | SagaState::Captured
        | SagaState::Compensating(_) => return None,
    };
    Some(processing::ProcessOrderResponse {
        status: status.into(),
        rejection_reason: rejection.unwrap_or_default().into(),
    })
}

fn money_message(amount: Money) -> orders::Money {
    orders::Money {
        currency_code: amount.currency().to_string(),
        minor_units: amount.minor_units(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed() -> orders::OrderPlaced {
        let line = orders::OrderLine {
            sku: "A".to_owned(),
            quantity: 2,
            unit_price: None,
        };
        let total = orders::Money {
            currency_code: "GBP".to_owned(),
            minor_units: 510,
        };
        orders::OrderPlaced {
            order_id: Uuid::from_u128(7).to_string(),
            customer_id: "guest".to_owned(),
            lines: vec![line],
            total: Some(total),
            payment_token: "tok_approved".to_owned(),
        }
    }

    #[test]
    fn an_order_that_order_service_accepts_is_accepted_here() {
        let order = order(&placed()).unwrap();

        assert_eq!(order.id, OrderId::new(Uuid::from_u128(7)));
        assert_eq!(order.total.minor_units(), 510);
    }

    #[test]
    fn the_error_of_an_invalid_field_names_it() {
        let no_lines = orders::OrderPlaced {
            lines: vec![],
            ..placed()
        };
        let no_total = orders::OrderPlaced {
            total: None,
            ..placed()
        };
        let no_token = orders::OrderPlaced {
            payment_token: String::new(),
            ..placed()
        };
        let no_id = orders::OrderPlaced {
            order_id: "7".to_owned(),
            ..placed()
        };
        let wrong = [
            (no_lines, "lines"),
            (no_total, "total"),
            (no_token, "payment_token"),
            (no_id, "order_id"),
        ];

        for (message, field) in wrong {
            assert_eq!(order(&message).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_stored_order_keeps_its_demand_and_nothing_of_the_customer() {
        let full = Quantity::new(100_000).unwrap();
        let lines = ["A", "A", "B"].map(|sku| (Sku::parse(sku).unwrap(), full));
        let demand = Demand::of(lines);

        let bytes = stored_order(OrderId::new(Uuid::from_u128(7)), &demand);

        assert_eq!(stored_demand(&bytes), Some(demand));
        let message = orders::OrderPlaced::decode(bytes.as_slice()).unwrap();
        assert_eq!(
            (message.customer_id.as_str(), message.payment_token.as_str()),
            ("", "")
        );
    }
}
