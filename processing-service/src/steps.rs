//! The steps of a saga, one file each: reserve → capture → ship, and compensate when the order ends without shipment.
//!
//! ```text
//! step         call outside (idempotent)    committed together
//! reserve                                   stock reserved, saga RESERVED, StockReserved
//! capture      gateway: capture             (with the next step)
//! ship                                      payment, PaymentCaptured, stock shipped, shipment, saga FULFILLED,
//!                                           OrderFulfilled, inbox
//! cancel                                    payment, PaymentCaptured, saga COMPENSATING
//! compensate   gateway: refund              stock released, payment REFUNDED, saga REJECTED or CANCELLED,
//!                                           OrderRejected or OrderCancelled, inbox
//! ```
//!
//! A commit precedes every call of the gateway, so the provider is never asked for an order whose stock is not reserved, nor for a
//! refund that is not decided. Nothing is called between capture and shipment: they share a commit. The check for a
//! cancellation stands between them, as before every step.
//!
//! Every commit returns the current state of the saga. After a redelivery this can be a later state than the step's own
//! target, because the step was recorded before; the caller continues from the returned state. A saga that an earlier
//! release left CAPTURED is shipped, or compensated, by a step of its own.

use std::time::SystemTime;

use service::crash_points::{CrashPoint, reach};

use crate::domain::{Order, OrderId, SagaState, Step};
use crate::names::{attributes as attr, spans};
use crate::retention::{Forgotten, may_be_forgotten};
use crate::store::Cause;

pub mod pipeline;

pub mod capture;
pub mod compensate;
pub mod reserve;
pub mod ship;

mod gateway;

use capture::Captured;
pub use pipeline::{CapturePolicy, Pipeline, StepError};

/// Runs steps until the saga of the order has ended. Returns its final state, which an order that was processed before keeps.
///
/// `cancelled` tells whether the order is to be cancelled. It is asked before each step; before shipping it is asked by the step
/// that captures, because both are one commit.
pub async fn process(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<SagaState, StepError> {
    if let Some(ended) = ended_long_ago(pipeline, order.id).await? {
        return Ok(ended);
    }
    // Assumes a new saga: if it exists already, the first step returns its current state.
    let mut state = SagaState::Placed;
    while let Some(step) = state.next_step() {
        if state != SagaState::Placed {
            reach(CrashPoint::BetweenSteps)?;
        }
        state = match state {
            SagaState::Placed if cancelled() => {
                compensate::cancel_placed(pipeline, order, cause).await?
            }
            SagaState::Reserved | SagaState::Captured if cancelled() => {
                compensate::cancel(pipeline, order.id, cause).await?
            }
            _ => run(pipeline, step, order, cause, cancelled).await?,
        };
    }
    Ok(state)
}

/// The final state of an order so old that its saga can be deleted at any time: it is not looked up again.
async fn ended_long_ago(
    pipeline: &Pipeline,
    order_id: OrderId,
) -> Result<Option<SagaState>, StepError> {
    if !may_be_forgotten(order_id, pipeline.sagas_kept, SystemTime::now()) {
        return Ok(None);
    }
    let saga = pipeline.store.saga(order_id).await?;
    let state = saga.ok_or(Forgotten(order_id))?;
    Ok(state.is_final().then_some(state))
}

/// Runs one step of an order, and after a capture the one that it is committed with. Returns the current state of the saga.
///
/// `cancelled` tells whether the order is to be cancelled.
pub async fn run(
    pipeline: &Pipeline,
    step: Step,
    order: &Order,
    cause: &Cause,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<SagaState, StepError> {
    match step {
        Step::Reserve => observed("reserve stock", reserve::run(pipeline, order, cause)).await,
        Step::Capture => capture_and_continue(pipeline, order, cause, cancelled).await,
        Step::Ship => observed("ship order", ship::run(pipeline, order.id, None, cause)).await,
        Step::Compensate => compensate::run(pipeline, order.id, cause).await,
    }
}

async fn capture_and_continue(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<SagaState, StepError> {
    let capture = capture::run(pipeline, order, cause);
    match observed_as("capture payment", capture, Captured::state).await? {
        Captured::Refused(state) => Ok(state),
        Captured::Payment(payment) if cancelled() => {
            compensate::cancel_captured(pipeline, order.id, payment, cause).await
        }
        Captured::Payment(payment) => {
            let ship = ship::run(pipeline, order.id, Some(payment), cause);
            observed("ship order", ship).await
        }
    }
}

/// Runs the step of this name within its own span, which shows a rejection or an error.
async fn observed(
    name: &'static str,
    step: impl Future<Output = Result<SagaState, StepError>>,
) -> Result<SagaState, StepError> {
    observed_as(name, step, |state| *state).await
}

/// As [`observed`], for a step with another result, which has a state.
async fn observed_as<T>(
    name: &'static str,
    step: impl Future<Output = Result<T, StepError>>,
    state: fn(&T) -> SagaState,
) -> Result<T, StepError> {
    let span = spans::STEP.within(name);
    span.set(&attr::ORDER_STEP, name);
    let ended = span.carry(step).await;
    match ended.as_ref().map(state) {
        Ok(SagaState::Rejected(reason)) => {
            span.set(&attr::ORDER_REJECTION_REASON, reason.name());
        }
        Ok(_) => {}
        Err(error) => span.fail(error.name()),
    }
    ended
}

#[cfg(test)]
mod tests;
