//! ListOrders: a customer's orders, newest first, in pages. A page is bounded in orders and in bytes.

use grpc::server::violations::Violations;
use prost::Message;
use proto::orders::v1::{ListOrdersRequest, ListOrdersResponse, Order as OrderMessage};

use super::order_rpc::{Call, OrderRpc};
use super::page_token::PageToken;
use super::status::RpcError;
use crate::conversion;
use crate::domain::{CustomerId, OrderId};

/// Orders on a page when the request gives no size.
const DEFAULT_PAGE_SIZE: u32 = 50;

/// Maximum orders on a page.
const MAX_PAGE_SIZE: u32 = 200;

/// Maximum encoded size of the orders on a page. Clients accept messages of 4 MiB by default, and 200 orders of 500 lines
/// are up to 15 MiB. A page has at least one order: the largest one has some 80 KiB.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// Reads one order more than the page holds: if it exists, another page follows.
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
    let orders = orders.map_err(RpcError::of_read(call.deadline))?;

    let messages = orders.iter().map(conversion::order_message);
    let shown = fitting(messages.take(page.page_size as usize));
    let next_page_token = match shown.len().checked_sub(1) {
        Some(last) if shown.len() < orders.len() => {
            PageToken::new(orders[last].id).encode(&page.customer_id)
        }
        _ => String::new(),
    };
    Ok(ListOrdersResponse {
        orders: shown,
        next_page_token,
    })
}

/// The first orders, up to [`MAX_PAGE_BYTES`]; at least one, so that every page makes progress.
fn fitting(orders: impl Iterator<Item = OrderMessage>) -> Vec<OrderMessage> {
    let mut bytes = 0;
    let fits = |order: &OrderMessage| {
        let is_first = bytes == 0;
        bytes += order.encoded_len();
        is_first || bytes <= MAX_PAGE_BYTES
    };
    orders.take_while(fits).collect()
}

/// A parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    pub customer_id: CustomerId,
    pub page_size: u32,
    /// The page begins behind this order; `None` for the first page.
    pub before: Option<OrderId>,
}

/// Parses a request.
///
/// # Errors
/// [`Violations`] for a malformed customer, a negative size, and a token that was not made for this customer.
pub fn parse_list_orders(request: ListOrdersRequest) -> Result<ListRequest, Violations> {
    let mut violations = Violations::default();
    let customer_id = violations.check("customer_id", CustomerId::parse(request.customer_id));
    let page_size = violations.check("page_size", page_size(request.page_size));
    // A token is valid for one customer only.
    let customer_id = customer_id.ok_or_else(|| violations.clone())?;
    let before = match request.page_token.as_str() {
        "" => Some(None),
        token => violations
            .check("page_token", PageToken::parse(token, &customer_id))
            .map(|token| Some(token.last_shown())),
    };
    match (page_size, before) {
        (Some(page_size), Some(before)) => Ok(ListRequest {
            customer_id,
            page_size,
            before,
        }),
        _ => Err(violations),
    }
}

fn page_size(requested: i32) -> Result<u32, &'static str> {
    match u32::try_from(requested) {
        Ok(0) => Ok(DEFAULT_PAGE_SIZE),
        Ok(size) => Ok(size.min(MAX_PAGE_SIZE)),
        Err(_) => Err("must not be negative"),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn list(customer: &str, page_size: i32, page_token: &str) -> ListOrdersRequest {
        ListOrdersRequest {
            customer_id: customer.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        }
    }

    fn fields(violations: &Violations) -> Vec<&str> {
        violations
            .listed()
            .iter()
            .map(|violation| violation.field.as_str())
            .collect()
    }

    #[test]
    fn a_page_has_a_default_size_and_a_largest_one() {
        for (requested, expected) in [(0, 50), (1, 1), (200, 200), (201, 200), (i32::MAX, 200)] {
            let request = parse_list_orders(list("guest", requested, "")).unwrap();
            assert_eq!(request.page_size, expected);
        }
    }

    #[test]
    fn every_violation_of_a_list_request_is_reported() {
        let violations = parse_list_orders(list("guest", -1, "nonsense")).unwrap_err();
        assert_eq!(fields(&violations), ["page_size", "page_token"]);

        let violations = parse_list_orders(list("", -1, "")).unwrap_err();
        assert_eq!(fields(&violations), ["customer_id", "page_size"]);
    }

    #[test]
    fn a_page_token_continues_behind_the_order_shown_last() {
        let last = OrderId::new(Uuid::from_u128(7));
        let token = PageToken::new(last).encode(&CustomerId::parse("guest").unwrap());

        let request = parse_list_orders(list("guest", 0, &token)).unwrap();

        assert_eq!(request.before, Some(last));
    }
}
