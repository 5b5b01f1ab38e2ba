//! An order for measurements in which the goods do not matter: always the same two lines, always in stock.

use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use uuid::Builder;

use super::payment::APPROVED;

const IN_STOCK: u64 = 1_000_000_000;

const LINES: [(&str, i32); 2] = [("85123A", 6), ("71053", 2)];

/// A new order per call.
pub fn request() -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: request_id(),
        customer_id: "17850".to_owned(),
        lines: LINES.map(|(sku, quantity)| line(sku, quantity)).to_vec(),
        payment_token: APPROVED.to_owned(),
    }
}

/// The text of a `catalogue.csv` with these goods.
pub fn catalogue() -> String {
    let lines = LINES.map(|(sku, _)| format!("{sku},{sku},{IN_STOCK}\n"));
    format!("sku,name,opening_stock\n{}", lines.concat())
}

/// A version 4 UUID from the thread's generator, without a system call per request.
fn request_id() -> String {
    let id = Builder::from_random_bytes(rand::random()).into_uuid();
    id.to_string()
}

fn line(sku: &str, quantity: i32) -> OrderLine {
    OrderLine {
        sku: sku.to_owned(),
        quantity,
        unit_price: Some(Money {
            currency_code: "GBP".to_owned(),
            minor_units: 255,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_own_request_id() {
        assert_ne!(request().request_id, request().request_id);
    }

    #[test]
    fn all_goods_are_in_the_catalogue() {
        for line in request().lines {
            assert!(catalogue().contains(&format!("\n{},", line.sku)));
        }
    }
}
