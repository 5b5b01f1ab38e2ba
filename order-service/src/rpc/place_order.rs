//! PlaceOrder: the durable confirmation.

use std::time::SystemTime;

use chassis::auth::Caller;
use chassis::crash_points::{CrashPoint, reach};
use proto::orders::v1::{PlaceOrderRequest, PlaceOrderResponse};
use uuid::Uuid;

use super::{OrderRpc, write_failed};
use crate::convert;
use crate::domain::{Availability, NewOrder, Order, OrderId, Timestamp};
use crate::edge::{RpcError, parse_place_order};
use crate::events;
use crate::store::{PlaceOrder, Placed};

/// Answers once the order is durable. A caller that goes away earlier does not undo it: the writer has the command.
pub(super) async fn place_order(
    service: &OrderRpc,
    caller: &Caller,
    request: PlaceOrderRequest,
) -> Result<PlaceOrderResponse, RpcError> {
    let request = parse_place_order(request)?;
    service.admit_for(caller, &request.customer_id)?;
    let request_id = request.request_id;
    let availability = Availability::NotChecked;
    let command = decide(&request, availability);
    let new = convert::order_message(&command.order);

    let placed = service.writers.place.submit(command).await;

    let order = match placed.map_err(write_failed)? {
        Placed::New => new,
        Placed::Duplicate(saved) => convert::order_message(&saved),
        Placed::Conflict => return Err(RpcError::RequestIdReused(request_id)),
    };
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
