//! What a customer asks for, before it is an order.

use super::fingerprint::Fingerprint;
use super::identity::{CustomerId, RequestId};
use super::lines::OrderLines;
use super::payment_token::PaymentToken;

/// A well-formed intent to order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The client's id of this intent.
    pub request_id: RequestId,
    /// Who orders.
    pub customer_id: CustomerId,
    /// What is ordered.
    pub lines: OrderLines,
    /// What it is paid with.
    pub payment_token: PaymentToken,
}

impl NewOrder {
    /// What makes two requests with the same request id the same request.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(
            &self.customer_id,
            self.lines.as_slice(),
            &self.payment_token,
        )
    }
}
