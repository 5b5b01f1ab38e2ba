//! GetOrder: one order as it is now.

use proto::orders::v1::{GetOrderRequest, GetOrderResponse};

use super::access::Call;
use super::{OrderRpc, describe};
use crate::convert;
use crate::edge::{RpcError, parse_order_id};

/// Reads one order.
pub(super) async fn get_order(
    service: &OrderRpc,
    call: &Call,
    request: &GetOrderRequest,
) -> Result<GetOrderResponse, RpcError> {
    let order_id = parse_order_id(&request.order_id)?;
    describe(order_id);
    service.admit(call)?;

    let order = service.find_for(call, order_id).await?;

    Ok(GetOrderResponse {
        order: Some(convert::order_message(&order)),
    })
}
