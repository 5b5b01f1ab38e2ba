//! CancelOrder: replies when the request to cancel is durable. processing-service decides whether it came in time.

use std::sync::Arc;
use std::time::SystemTime;

use proto::orders::v1::{CancelOrderRequest, CancelOrderResponse};
use service::crash_points::{CrashPoint, reach};
use uuid::Uuid;

use super::get_order::parse_order_id;
use super::order_rpc::{Call, OrderRpc, record_order_id};
use super::status::RpcError;
use crate::conversion;
use crate::domain::{OrderId, Timestamp};
use crate::events;
use crate::store::{CancelOrder, CancelReply};

/// Idempotent: a repeated request changes nothing.
pub(super) async fn cancel_order(
    service: &OrderRpc,
    call: &Call,
    request: &CancelOrderRequest,
) -> Result<CancelOrderResponse, RpcError> {
    let order_id = parse_order_id(&request.order_id)?;
    record_order_id(order_id);
    service.admit(call)?;
    if call.caller.customer().is_some() {
        // The owner of an order never changes, so ownership can be checked before the transaction.
        service.find_for(call, order_id).await?;
    }
    let command = decide(order_id);

    let reply = service.writers.cancel.submit(command).await?;

    reach(CrashPoint::BeforeReply)?;
    match reply {
        CancelReply::Requested(order) | CancelReply::AlreadyRequested(order) => {
            tracing::debug!(order_id = %order.id, "cancellation requested");
            Ok(CancelOrderResponse {
                order: Some(conversion::order_message(&order)),
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
        event: Arc::new(events::cancellation_requested(
            order_id,
            event_id,
            requested_at,
        )),
    }
}
