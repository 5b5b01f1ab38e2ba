//! The port to the payment provider.
//!
//! The provider is an external system: it can be slow or down, and an answer can be lost after its effect. Therefore
//! every call carries an idempotency key and is retried until the provider has answered.

use async_trait::async_trait;

use crate::domain::{CaptureId, Money, OrderId, PaymentToken};

pub mod simulated;

/// Captures and refunds payments.
///
/// Required of an implementation: calls with the same key take effect once, and every capture with it returns the same
/// [`CaptureId`]. After a refund, a capture with the same key is declined, so that a delayed capture cannot charge an order
/// that was compensated.
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Captures an authorised amount. Needs no timeout of its own: the caller applies one.
    async fn capture(&self, request: &CaptureRequest) -> Result<CaptureId, CaptureError>;

    /// Ensures that nothing is charged under the key: refunds a capture; without one it only blocks later captures.
    async fn refund(&self, key: OrderId) -> Result<(), GatewayUnavailable>;
}

#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// The idempotency key: an order is captured at most once.
    pub key: OrderId,
    pub amount: Money,
    /// The authorisation to capture from.
    pub token: PaymentToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Permanent refusal by the provider.
    #[error("the payment is declined")]
    Declined,
    /// No answer: whether the capture was made is unknown.
    #[error(transparent)]
    Unavailable(#[from] GatewayUnavailable),
}

/// A retry of the call may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider did not answer")]
pub struct GatewayUnavailable;
