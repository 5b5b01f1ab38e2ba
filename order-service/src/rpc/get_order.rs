//! GetOrder: one order as it is now.

use chassis::auth::Caller;
use proto::orders::v1::{GetOrderRequest, GetOrderResponse};

use super::OrderRpc;
use crate::convert;
use crate::edge::{RpcError, parse_order_id};

/// Reads one order.
pub(super) async fn get_order(
    service: &OrderRpc,
    caller: &Caller,
    request: &GetOrderRequest,
) -> Result<GetOrderResponse, RpcError> {
    let order_id = parse_order_id(&request.order_id)?;
    service.admit(caller)?;

    let order = service.find_for(caller, order_id).await?;

    Ok(GetOrderResponse {
        order: Some(convert::order_message(&order)),
    })
}
