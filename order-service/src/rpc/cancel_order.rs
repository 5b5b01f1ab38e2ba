//! CancelOrder: the durable wish. Whether it came in time is decided by processing.

use std::time::SystemTime;

use proto::orders::v1::{CancelOrderRequest, CancelOrderResponse};
use service::crash_points::{CrashPoint, reach};
use uuid::Uuid;

use super::access::Call;
use super::{OrderRpc, describe, write_failed};
use crate::convert;
use crate::domain::{OrderId, Timestamp};
use crate::edge::{RpcError, parse_order_id};
use crate::events;
use crate::store::{CancelOrder, CancelReply};

/// Answers once the wish is durable; asking again changes nothing.
pub(super) async fn cancel_order(
    service: &OrderRpc,
    call: &Call,
    request: &CancelOrderRequest,
) -> Result<CancelOrderResponse, RpcError> {
    let order_id = parse_order_id(&request.order_id)?;
    describe(order_id);
    service.admit(call)?;
    if call.caller.customer().is_some() {
        // The owner of an order never changes, so this may be asked before.
        service.find_for(call, order_id).await?;
    }
    let command = decide(order_id);

    let reply = service.writers.cancel.submit(command).await;

    let reply = reply.map_err(write_failed)?;
    reach(CrashPoint::BeforeReply)?;
    match reply {
        CancelReply::Requested(order) | CancelReply::AlreadyRequested(order) => {
            tracing::debug!(order_id = %order.id, "cancellation requested");
            Ok(CancelOrderResponse {
                order: Some(convert::order_message(&order)),
            })
        }
        CancelReply::Refused(status) => Err(RpcError::OrderIsFinal { order_id, status }),
        CancelReply::UnknownOrder => Err(RpcError::OrderNotFound(order_id)),
    }
}

fn decide(order_id: OrderId) -> CancelOrder {
    let event_id = Uuid::now_v7();
    let requested_at = Timestamp::from(SystemTime::now());
    CancelOrder {
        order_id,
        event_id,
        requested_at,
        event: events::cancellation_requested(order_id, event_id, requested_at),
    }
}
