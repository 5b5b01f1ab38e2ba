//! The steps of a saga, one file each: reserve → capture → ship, and compensate when the order ends without shipment.
//!
//! ```text
//! step         call outside (idempotent)    committed together
//! reserve                                   stock reserved, saga RESERVED, StockReserved
//! capture      gateway: capture             payment, saga CAPTURED, PaymentCaptured
//! ship                                      stock shipped, shipment, saga FULFILLED, OrderFulfilled, inbox
//! compensate   gateway: refund              stock released, payment REFUNDED, saga REJECTED or CANCELLED,
//!                                           OrderRejected or OrderCancelled, inbox
//! ```
//!
//! Every step ends in one commit and returns the current state of the saga. After a redelivery this can be a later state
//! than the step's own target, because the step was recorded before; the caller continues from the returned state.

use crate::domain::{Order, SagaState, Step};
use crate::names::{attributes as attr, spans};
use crate::store::Cause;

pub mod pipeline;

pub mod capture;
pub mod compensate;
pub mod reserve;
pub mod ship;

mod gateway;

pub use pipeline::{CapturePolicy, Pipeline, StepError};

/// Runs one step of an order. Returns the current state of the saga.
pub async fn run(
    pipeline: &Pipeline,
    step: Step,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    match step {
        Step::Reserve => observed("reserve stock", reserve::run(pipeline, order, cause)).await,
        Step::Capture => observed("capture payment", capture::run(pipeline, order, cause)).await,
        Step::Ship => observed("ship order", ship::run(pipeline, order.id, cause)).await,
        Step::Compensate => compensate::run(pipeline, order.id, cause).await,
    }
}

/// Runs the step of this name within its own span, which shows a rejection or an error.
async fn observed(
    name: &'static str,
    step: impl Future<Output = Result<SagaState, StepError>>,
) -> Result<SagaState, StepError> {
    let span = spans::STEP.within(name);
    span.set(&attr::ORDER_STEP, name);
    let ended = span.carry(step).await;
    match &ended {
        Ok(SagaState::Rejected(reason)) => {
            span.set(&attr::ORDER_REJECTION_REASON, reason.name());
        }
        Ok(_) => {}
        Err(error) => span.fail(error.name()),
    }
    ended
}
