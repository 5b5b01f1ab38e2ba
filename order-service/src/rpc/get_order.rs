//! GetOrder: the current state of one order.

use grpc::server::violations::Violations;
use proto::orders::v1::{GetOrderRequest, GetOrderResponse};

use super::order_rpc::{Call, OrderRpc, record_order_id};
use super::status::RpcError;
use crate::conversion;
use crate::domain::OrderId;

pub(super) async fn get_order(
    service: &OrderRpc,
    call: &Call,
    request: &GetOrderRequest,
) -> Result<GetOrderResponse, RpcError> {
    let order_id = parse_order_id(&request.order_id)?;
    record_order_id(order_id);
    service.admit(call)?;

    let order = service.find_for(call, order_id).await?;

    Ok(GetOrderResponse {
        order: Some(conversion::order_message(&order)),
    })
}

/// Parses the field `order_id` of a request that has no other field.
///
/// # Errors
/// [`Violations`] when it is no UUID.
pub(super) fn parse_order_id(order_id: &str) -> Result<OrderId, Violations> {
    let mut violations = Violations::default();
    let order_id = violations.check("order_id", OrderId::parse(order_id));
    order_id.ok_or(violations)
}
