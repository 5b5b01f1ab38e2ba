//! ListOrders: a customer's orders, newest first, page by page.

use proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};

use super::access::Call;
use super::{OrderRpc, read_failed};
use crate::convert;
use crate::edge::{PageToken, RpcError, parse_list_orders};

/// Reads one page, and one order more to learn whether another page follows.
pub(super) async fn list_orders(
    service: &OrderRpc,
    call: &Call,
    request: ListOrdersRequest,
) -> Result<ListOrdersResponse, RpcError> {
    let page = parse_list_orders(request)?;
    service.admit_for(call, &page.customer_id)?;

    let limit = page.page_size + 1;
    let orders = service
        .store
        .list(&page.customer_id, page.before, limit, call.deadline)
        .await;
    let orders = orders.map_err(read_failed(call.deadline))?;

    let shown = &orders[..orders.len().min(page.page_size as usize)];
    let next_page_token = match shown.last() {
        Some(last) if shown.len() < orders.len() => {
            PageToken::new(last.id).encode(&page.customer_id)
        }
        _ => String::new(),
    };
    Ok(ListOrdersResponse {
        orders: shown.iter().map(convert::order_message).collect(),
        next_page_token,
    })
}
