//! An order about to be placed, as a test thinks of it.

use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use uuid::Uuid;

/// The customer of the tests.
pub const CUSTOMER: &str = "customer-1";

/// An order about to be placed: by [`CUSTOMER`], in pounds, with an approved payment by default.
/// Placing the same draft twice repeats the request.
#[derive(Clone, Debug)]
pub struct Draft {
    request: PlaceOrderRequest,
}

impl Draft {
    /// An order of some pieces of one thing.
    pub fn of(sku: &str, quantity: i32) -> Self {
        let request = PlaceOrderRequest {
            request_id: Uuid::new_v4().to_string(),
            customer_id: CUSTOMER.to_owned(),
            lines: Vec::new(),
            payment_token: "tok_approved".to_owned(),
        };
        Self { request }.and(sku, quantity)
    }

    /// Another line.
    #[must_use]
    pub fn and(mut self, sku: &str, quantity: i32) -> Self {
        self.request.lines.push(OrderLine {
            sku: sku.to_owned(),
            quantity,
            unit_price: Some(Money {
                currency_code: "GBP".to_owned(),
                minor_units: 255,
            }),
        });
        self
    }

    /// Another payment token.
    #[must_use]
    pub fn paid_with(mut self, payment_token: &str) -> Self {
        payment_token.clone_into(&mut self.request.payment_token);
        self
    }

    /// The request to send.
    pub fn request(&self) -> PlaceOrderRequest {
        self.request.clone()
    }
}
