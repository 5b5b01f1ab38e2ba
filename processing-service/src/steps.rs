//! The steps of an order, one file each: reserve → capture → ship, and compensate when the order is given up.
//!
//! ```text
//! step         outside (repeatable)         committed together
//! reserve                                   stock set aside, saga RESERVED, StockReserved
//! capture      gateway: capture             payment, saga CAPTURED, PaymentCaptured
//! ship                                      stock shipped, shipment, saga FULFILLED, OrderFulfilled, inbox
//! compensate   gateway: refund              stock given back, payment REFUNDED, saga REJECTED or CANCELLED,
//!                                           OrderRejected or OrderCancelled, inbox
//! ```
//!
//! Every step ends in one commit and answers with the state in which the saga is now, which need not be the one that
//! the step aimed at: a redelivered event finds its steps done. Whoever runs steps goes on from the answer.

use std::sync::Arc;

use service::crash_points::Injected;

use crate::domain::{Order, SagaState, Step};
use crate::payment::{GatewayUnavailable, PaymentGateway};
use crate::store::{Cause, ProcessingStore, StoreError};

pub mod capture;
pub mod compensate;
mod gateway;
mod observed;
pub mod reserve;
pub mod ship;

pub use capture::CapturePolicy;

/// What the steps work with.
#[derive(Clone)]
pub struct Pipeline {
    /// Where they are recorded.
    pub store: Arc<dyn ProcessingStore>,
    /// Who moves the money.
    pub gateway: Arc<dyn PaymentGateway>,
    /// How patient the capture is.
    pub capture: CapturePolicy,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pipeline")
            .field("capture", &self.capture)
            .finish_non_exhaustive()
    }
}

/// Why a step could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It was not recorded.
    #[error("recording the step")]
    Store(#[from] StoreError),
    /// The provider did not confirm that nothing stays charged, and the order must not end before it does.
    #[error("giving the payment back")]
    Refund(#[from] GatewayUnavailable),
    /// It was interrupted: what it did may be done and not recorded.
    #[error("going on")]
    Interrupted(#[from] Injected),
}

impl StepError {
    /// The kind of failure, as telemetry spells it.
    fn name(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Refund(_) => "refund",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

impl Pipeline {
    /// Takes one step of an order. Returns the state in which the saga is now.
    pub async fn take(
        &self,
        step: Step,
        order: &Order,
        cause: &Cause,
    ) -> Result<SagaState, StepError> {
        match step {
            Step::Reserve => reserve::run(self, order, cause).await,
            Step::Capture => capture::run(self, order, cause).await,
            Step::Ship => ship::run(self, order.id, cause).await,
            Step::Compensate => compensate::run(self, order.id, cause).await,
        }
    }
}
