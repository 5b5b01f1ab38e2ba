//! The small requests: which order, which page, from which version.

use grpc::server::violations::Violations;
use proto::orders::v1 as messages;

use super::page_token::PageToken;
use crate::domain::{CustomerId, OrderId};

/// Orders on a page when the client does not say.
const DEFAULT_PAGE_SIZE: u32 = 50;

/// Most orders on a page. With up to 100 lines each a page stays below the 4 MiB that clients accept by default; a
/// client that lists larger ones asks for smaller pages.
const MAX_PAGE_SIZE: u32 = 200;

/// A request for one page of a customer's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOrders {
    /// Whose orders.
    pub customer_id: CustomerId,
    /// Most orders on the page.
    pub page_size: u32,
    /// The page begins behind this order; `None` for the first page.
    pub before: Option<OrderId>,
}

/// A request to follow an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchOrder {
    /// Which order.
    pub order_id: OrderId,
    /// The version that the client has seen last.
    pub after_version: u64,
}

/// Reads the field `order_id`, which several requests have and nothing else.
///
/// # Errors
/// [`Violations`] when it is no UUID.
pub fn parse_order_id(order_id: &str) -> Result<OrderId, Violations> {
    let mut faults = Violations::default();
    let order_id = faults.check("order_id", OrderId::parse(order_id));
    order_id.ok_or(faults)
}

/// Reads a request for a page.
///
/// # Errors
/// [`Violations`] for a malformed customer, a negative size, and a token that was not made for this customer.
pub fn parse_list_orders(request: messages::ListOrdersRequest) -> Result<ListOrders, Violations> {
    let mut faults = Violations::default();
    let customer_id = faults.check("customer_id", CustomerId::parse(request.customer_id));
    let page_size = faults.check("page_size", page_size(request.page_size));
    // Without a customer a token cannot be judged.
    let customer_id = customer_id.ok_or_else(|| faults.clone())?;
    let before = match request.page_token.as_str() {
        "" => Some(None),
        token => faults
            .check("page_token", PageToken::parse(token, &customer_id))
            .map(|token| Some(token.last_shown())),
    };
    match (page_size, before) {
        (Some(page_size), Some(before)) => Ok(ListOrders {
            customer_id,
            page_size,
            before,
        }),
        _ => Err(faults),
    }
}

/// Reads a request to watch.
///
/// # Errors
/// [`Violations`] for a malformed id and a negative version.
pub fn parse_watch_order(request: &messages::WatchOrderRequest) -> Result<WatchOrder, Violations> {
    let mut faults = Violations::default();
    let order_id = faults.check("order_id", OrderId::parse(&request.order_id));
    let after_version = u64::try_from(request.after_version).map_err(|_| "must not be negative");
    let after_version = faults.check("after_version", after_version);
    match (order_id, after_version) {
        (Some(order_id), Some(after_version)) => Ok(WatchOrder {
            order_id,
            after_version,
        }),
        _ => Err(faults),
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

    fn list(customer: &str, page_size: i32, page_token: &str) -> messages::ListOrdersRequest {
        messages::ListOrdersRequest {
            customer_id: customer.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        }
    }

    fn fields(faults: &Violations) -> Vec<&str> {
        faults
            .listed()
            .iter()
            .map(|fault| fault.field.as_str())
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
    fn every_fault_of_a_list_request_is_named() {
        let faults = parse_list_orders(list("guest", -1, "nonsense")).unwrap_err();
        assert_eq!(fields(&faults), ["page_size", "page_token"]);

        let faults = parse_list_orders(list("", -1, "")).unwrap_err();
        assert_eq!(fields(&faults), ["customer_id", "page_size"]);
    }

    #[test]
    fn a_page_token_continues_behind_the_order_shown_last() {
        let last = OrderId::new(Uuid::from_u128(7));
        let token = PageToken::new(last).encode(&CustomerId::parse("guest").unwrap());

        let request = parse_list_orders(list("guest", 0, &token)).unwrap();

        assert_eq!(request.before, Some(last));
    }

    #[test]
    fn every_fault_of_a_watch_request_is_named() {
        let request = messages::WatchOrderRequest {
            order_id: "order".to_owned(),
            after_version: -1,
        };

        let faults = parse_watch_order(&request).unwrap_err();

        assert_eq!(fields(&faults), ["order_id", "after_version"]);
    }
}
