//! The port to the payment provider.
//!
//! The provider is somebody else: it may be slow, away, or have done what it could not tell us. Hence every call
//! carries an idempotency key, and calls are repeated until the provider has answered.

use async_trait::async_trait;

use crate::domain::{CaptureId, Money, OrderId, PaymentToken};

pub mod simulated;

/// Captures payments and gives them back.
///
/// What an implementation must keep to: calls with one key act once, and every capture with it is answered with the
/// same [`CaptureId`]; after a refund, a capture with the same key is declined, so that a capture that was on its way
/// cannot take money for an order that was given up.
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Captures an authorised amount. May take as long as it likes: the caller brings a deadline.
    async fn capture(&self, request: &CaptureRequest) -> Result<CaptureId, CaptureError>;

    /// Makes sure that nothing is charged under the key: gives back what was captured, if anything was.
    async fn refund(&self, key: OrderId) -> Result<(), GatewayUnavailable>;
}

/// What to capture.
#[derive(Clone, Debug)]
pub struct CaptureRequest {
    /// The idempotency key: an order is paid once.
    pub key: OrderId,
    /// How much.
    pub amount: Money,
    /// From which authorisation.
    pub token: PaymentToken,
}

/// Why nothing is known to be captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The provider refuses, and will refuse again.
    #[error("the payment is declined")]
    Declined,
    /// The provider did not answer; whether it captured is unknown.
    #[error(transparent)]
    Unavailable(#[from] GatewayUnavailable),
}

/// The provider did not answer. The same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider did not answer")]
pub struct GatewayUnavailable;
