//! A validated PlaceOrder request.

use super::fingerprint::Fingerprint;
use super::identity::{CustomerId, RequestId};
use super::lines::OrderLines;
use super::payment_token::PaymentToken;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    pub request_id: RequestId,
    pub customer_id: CustomerId,
    pub lines: OrderLines,
    pub payment_token: PaymentToken,
}

impl NewOrder {
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(
            &self.customer_id,
            self.lines.as_slice(),
            &self.payment_token,
        )
    }
}
