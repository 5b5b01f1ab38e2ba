//! PlaceOrder: replies when the order is durable.

use std::sync::Arc;
use std::time::SystemTime;

use grpc::server::violations::Violations;
use proto::orders::v1 as messages;
use proto::orders::v1::{PlaceOrderRequest, PlaceOrderResponse};
use service::crash_points::{CrashPoint, reach};
use telemetry::span;
use uuid::Uuid;

use super::order_rpc::{Call, OrderRpc};
use super::status::RpcError;
use crate::conversion;
use crate::domain::{
    Availability, Currency, CustomerId, InvalidLines, MAX_LINES, Money, NewOrder, Order, OrderId,
    OrderLine, OrderLines, PaymentToken, Quantity, RequestId, Sku, Timestamp, UnitPrice,
};
use crate::events;
use crate::names::{self, attributes};
use crate::store::{PlaceOrder, Placed};

#[cfg(test)]
mod tests;

/// A call that is cancelled while its command is queued withdraws the command; one that is cancelled during the commit does
/// not undo it.
pub(super) async fn place_order(
    service: &OrderRpc,
    call: &Call,
    request: PlaceOrderRequest,
) -> Result<PlaceOrderResponse, RpcError> {
    let request = parse_place_order(request)?;
    service.admit_for(call, &request.customer_id)?;
    if !service.admission.is_open() {
        return saved_or(service, call, &request, RpcError::Backlogged).await;
    }
    let availability = match service.inventory.check(&request.lines, call.deadline).await {
        Ok(availability) => availability,
        Err(not_available) => return saved_or(service, call, &request, not_available).await,
    };
    let request_id = request.request_id;
    let command = new_command(&request, availability);
    let order_id = command.order.id;
    let new = conversion::order_message(&command.order);

    let placed = service.writers.place.submit(command).await;

    let order = match placed? {
        Placed::New => {
            describe(order_id, availability);
            new
        }
        Placed::Duplicate(saved) => reply_order(&saved),
        Placed::Conflict => return Err(RpcError::RequestIdReused(request_id)),
    };
    confirm(order)
}

/// The first attempt of this request may have been accepted, and may have taken the last pieces or filled the backlog: its
/// retry returns that order instead of the refusal.
async fn saved_or(
    service: &OrderRpc,
    call: &Call,
    request: &NewOrder,
    refusal: impl Into<RpcError>,
) -> Result<PlaceOrderResponse, RpcError> {
    let saved = service.store.placed_before(request, call.deadline).await;
    match saved.map_err(RpcError::of_read(call.deadline))? {
        Some(Placed::Duplicate(saved)) => confirm(reply_order(&saved)),
        Some(Placed::Conflict) => Err(RpcError::RequestIdReused(request.request_id)),
        Some(Placed::New) | None => Err(refusal.into()),
    }
}

fn reply_order(order: &Order) -> messages::Order {
    describe(order.id, order.availability);
    conversion::order_message(order)
}

/// Sets the attributes of the accepted order on the span of the call.
fn describe(order_id: OrderId, availability: Availability) {
    span::describe_current(|| {
        [
            attributes::ORDER_ID.of(order_id.to_string()),
            attributes::ORDER_AVAILABILITY.of(names::availability(availability)),
        ]
    });
}

fn confirm(order: messages::Order) -> Result<PlaceOrderResponse, RpcError> {
    reach(CrashPoint::BeforeReply)?;
    tracing::debug!(order_id = order.order_id, "order confirmed");
    Ok(PlaceOrderResponse { order: Some(order) })
}

/// The command that stores the order if the request is new.
fn new_command(request: &NewOrder, availability: Availability) -> PlaceOrder {
    let order_id = OrderId::new(Uuid::now_v7());
    let event_id = Uuid::now_v7();
    let now = Timestamp::from(SystemTime::now());
    let order = Order::placed(order_id, request, availability, now);
    let event = Arc::new(events::order_placed(
        &order,
        &request.payment_token,
        event_id,
    ));
    PlaceOrder {
        order,
        request_id: request.request_id,
        fingerprint: request.fingerprint(),
        event_id,
        payment_token: request.payment_token.clone(),
        event,
    }
}

/// Parses a request.
///
/// # Errors
/// [`Violations`] with every field that is missing, malformed or out of bounds.
pub fn parse_place_order(request: messages::PlaceOrderRequest) -> Result<NewOrder, Violations> {
    let mut violations = Violations::default();
    let request_id = violations.check("request_id", RequestId::parse(&request.request_id));
    let customer_id = violations.check("customer_id", CustomerId::parse(request.customer_id));
    let lines = parse_lines(request.lines, &mut violations);
    let payment_token =
        violations.check("payment_token", PaymentToken::parse(request.payment_token));

    match (request_id, customer_id, lines, payment_token) {
        (Some(request_id), Some(customer_id), Some(lines), Some(payment_token)) => Ok(NewOrder {
            request_id,
            customer_id,
            lines,
            payment_token,
        }),
        _ => Err(violations),
    }
}

fn parse_lines(
    messages: Vec<messages::OrderLine>,
    violations: &mut Violations,
) -> Option<OrderLines> {
    let sent = messages.len();
    if sent > MAX_LINES {
        violations.add("lines", InvalidLines::TooMany);
    }
    let mut lines = Vec::with_capacity(sent.min(MAX_LINES));
    let mut currency = None;
    for (index, message) in messages.into_iter().take(MAX_LINES).enumerate() {
        lines.extend(parse_line(index, message, &mut currency, violations));
    }
    if lines.len() < sent {
        return None;
    }
    OrderLines::new(lines)
        .map_err(|rule| violations.add("lines", rule))
        .ok()
}

fn parse_line(
    index: usize,
    message: messages::OrderLine,
    currency: &mut Option<Currency>,
    violations: &mut Violations,
) -> Option<OrderLine> {
    let sku = Sku::parse(message.sku);
    let sku = violations.check(format_args!("lines[{index}].sku"), sku);
    let quantity = Quantity::parse(message.quantity);
    let quantity = violations.check(format_args!("lines[{index}].quantity"), quantity);
    let unit_price = parse_unit_price(index, message.unit_price, currency, violations);
    Some(OrderLine {
        sku: sku?,
        quantity: quantity?,
        unit_price: unit_price?,
    })
}

/// The first valid currency is the order's. Every line in another one is reported here, since [`OrderLines`] reports the
/// first only.
fn parse_unit_price(
    index: usize,
    message: Option<messages::Money>,
    order_currency: &mut Option<Currency>,
    violations: &mut Violations,
) -> Option<UnitPrice> {
    let Some(message) = message else {
        violations.add(format_args!("lines[{index}].unit_price"), "must be set");
        return None;
    };
    let code_path = format_args!("lines[{index}].unit_price.currency_code");
    let currency = violations.check(code_path, Currency::parse(&message.currency_code));
    // The amount is checked even if the currency is invalid, so that the client sees both violations.
    let price = UnitPrice::parse(Money {
        currency: currency.unwrap_or(Currency::Gbp),
        minor_units: message.minor_units,
    });
    let amount_path = format_args!("lines[{index}].unit_price.minor_units");
    let price = violations.check(amount_path, price);

    let currency = currency?;
    let expected = *order_currency.get_or_insert(currency);
    if currency != expected {
        let line = index;
        violations.add(code_path, InvalidLines::MixedCurrencies { line, expected });
        return None;
    }
    price
}
