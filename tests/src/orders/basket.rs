//! Orders for measurements in which the goods do not matter: always the same two lines, or a given number of lines, always
//! in stock.

use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use uuid::Builder;

use super::payment::APPROVED;

const IN_STOCK: u64 = 1_000_000_000;

const LINES: [(&str, i32); 2] = [("85123A", 6), ("71053", 2)];

/// Maximum lines of an order, by the contract.
pub const MAX_LINES: usize = 500;

/// A new order per call.
pub fn request() -> PlaceOrderRequest {
    of(LINES.map(|(sku, quantity)| line(sku, quantity)).to_vec())
}

/// A new order of this many lines, up to [`MAX_LINES`].
pub fn request_of(lines: usize) -> PlaceOrderRequest {
    of((0..lines).map(|number| line(&sku(number), 1)).collect())
}

fn of(lines: Vec<OrderLine>) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: request_id(),
        customer_id: "17850".to_owned(),
        lines,
        payment_token: APPROVED.to_owned(),
    }
}

fn sku(number: usize) -> String {
    format!("GOODS-{number}")
}

/// The text of a `catalogue.csv` with these goods.
pub fn catalogue() -> String {
    let skus = LINES.map(|(sku, _)| sku.to_owned()).into_iter();
    let skus = skus.chain((0..MAX_LINES).map(sku));
    let lines: String = skus
        .map(|sku| format!("{sku},{sku},{IN_STOCK}\n"))
        .collect();
    format!("sku,name,opening_stock\n{lines}")
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
        for line in [request().lines, request_of(MAX_LINES).lines].concat() {
            assert!(catalogue().contains(&format!("\n{},", line.sku)));
        }
    }
}
