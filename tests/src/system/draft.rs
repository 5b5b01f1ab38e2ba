//! A test order before it is placed.

use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use uuid::Uuid;

/// The customer of the tests.
pub const CUSTOMER: &str = "customer-1";

/// A test order: by [`CUSTOMER`], in pounds, with an approved payment by default. Placing the same draft twice repeats
/// the request id.
#[derive(Clone, Debug)]
pub struct Draft {
    request: PlaceOrderRequest,
}

impl Draft {
    /// One line of one SKU.
    pub fn of(sku: &str, quantity: i32) -> Self {
        let request = PlaceOrderRequest {
            request_id: Uuid::new_v4().to_string(),
            customer_id: CUSTOMER.to_owned(),
            lines: Vec::new(),
            payment_token: "tok_approved".to_owned(),
        };
        Self { request }.and(sku, quantity)
    }

    /// Adds a line.
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

    /// Sets the payment token.
    #[must_use]
    pub fn paid_with(mut self, payment_token: &str) -> Self {
        payment_token.clone_into(&mut self.request.payment_token);
        self
    }

    /// The request of this draft.
    pub fn request(&self) -> PlaceOrderRequest {
        self.request.clone()
    }
}
