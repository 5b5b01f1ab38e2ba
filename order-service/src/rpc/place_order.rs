//! PlaceOrder: the durable confirmation.

use std::time::SystemTime;

use proto::orders::v1 as messages;
use proto::orders::v1::{PlaceOrderRequest, PlaceOrderResponse};
use service::crash_points::{CrashPoint, reach};
use telemetry::span;
use uuid::Uuid;

use super::access::Call;
use super::{OrderRpc, read_failed, write_failed};
use crate::convert;
use crate::domain::{Availability, NewOrder, Order, OrderId, Timestamp};
use crate::edge::{RpcError, parse_place_order};
use crate::events;
use crate::names::{self, attributes};
use crate::store::{PlaceOrder, Placed};

/// Answers once the order is durable. A caller that goes away while it waits takes it back; one that goes away while it is
/// committed does not undo it.
pub(super) async fn place_order(
    service: &OrderRpc,
    call: &Call,
    request: PlaceOrderRequest,
) -> Result<PlaceOrderResponse, RpcError> {
    let request = parse_place_order(request)?;
    service.admit_for(call, &request.customer_id)?;
    if !service.admission.is_open() {
        return Err(RpcError::Backlogged);
    }
    let availability = match service.inventory.check(&request.lines, call.deadline).await {
        Ok(availability) => availability,
        Err(refusal) => return refuse(service, call, &request, refusal).await,
    };
    let request_id = request.request_id;
    let command = decide(&request, availability);
    let new = describe(&command.order);

    let placed = service.writers.place.submit(command).await;

    let order = match placed.map_err(write_failed)? {
        Placed::New => new,
        Placed::Duplicate(saved) => describe(&saved),
        Placed::Conflict => return Err(RpcError::RequestIdReused(request_id)),
    };
    confirm(order)
}

/// An order that cannot be had now may have been accepted before, and have taken what is short: a client that repeats its
/// request gets the order that the first one made.
async fn refuse(
    service: &OrderRpc,
    call: &Call,
    request: &NewOrder,
    refusal: RpcError,
) -> Result<PlaceOrderResponse, RpcError> {
    let before = service.store.placed_before(request, call.deadline).await;
    match before.map_err(read_failed(call.deadline))? {
        Some(Placed::Duplicate(saved)) => confirm(describe(&saved)),
        Some(Placed::Conflict) => Err(RpcError::RequestIdReused(request.request_id)),
        Some(Placed::New) | None => Err(refusal),
    }
}

/// The order for the client, and for the span of the call.
fn describe(order: &Order) -> messages::Order {
    span::describe_current(|| {
        let availability = names::availability(order.availability);
        [
            attributes::ORDER_ID.of(order.id.to_string()),
            attributes::ORDER_AVAILABILITY.of(availability),
        ]
    });
    convert::order_message(order)
}

fn confirm(order: messages::Order) -> Result<PlaceOrderResponse, RpcError> {
    reach(CrashPoint::BeforeReply)?;
    tracing::debug!(order_id = order.order_id, "order confirmed");
    Ok(PlaceOrderResponse { order: Some(order) })
}

/// The order that the request makes if it is new.
fn decide(request: &NewOrder, availability: Availability) -> PlaceOrder {
    let order_id = OrderId::new(Uuid::now_v7());
    let event_id = Uuid::now_v7();
    let now = Timestamp::from(SystemTime::now());
    let order = Order::placed(order_id, request, availability, now);
    let event = events::order_placed(&order, &request.payment_token, event_id);
    PlaceOrder {
        order,
        request_id: request.request_id,
        fingerprint: request.fingerprint(),
        event_id,
        event,
    }
}
