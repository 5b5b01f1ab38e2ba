//! `OrderPlaced`: runs the steps of the order until its saga ends.
//!
//! Before each step it checks for a cancellation: a `CancellationRequested` has the same key, so it is queued behind this
//! event and would otherwise be handled only after the order is shipped. The check before shipping is part of the step
//! that captures, because both are one commit.

use std::time::SystemTime;

use consumer::{Delivery, Failure};
use proto::event::OrderEvent;
use proto::orders::v1::OrderPlaced;
use proto::record;
use service::crash_points::{CrashPoint, reach};

use crate::conversion;
use crate::domain::{Order, OrderId, SagaState};
use crate::retention::{Forgotten, may_be_forgotten};
use crate::steps::{self, Pipeline, StepError, compensate};
use crate::store::Cause;

/// Assumes a new saga: if it exists already, the first step returns its current state.
pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &OrderPlaced,
    cause: &Cause,
    delivery: &Delivery,
) -> Result<(), Failure> {
    let order = conversion::order(event).map_err(Failure::reject)?;
    if may_be_forgotten(order.id, pipeline.sagas_kept, SystemTime::now()) {
        let saga = pipeline.store.saga(order.id).await?;
        let state = saga.ok_or(Forgotten(order.id)).map_err(Failure::reject)?;
        // A final saga may be deleted at any time: it is not looked up again.
        if state.is_final() {
            return Ok(());
        }
    }
    let cancelled = || is_cancellation_queued(delivery, order.id);
    let end = process(pipeline, &order, cause, &cancelled).await?;
    tracing::debug!(order_id = %order.id, state = ?end, "order processed");
    Ok(())
}

/// Runs steps until the saga has ended.
async fn process(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<SagaState, StepError> {
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
            _ => steps::run(pipeline, step, order, cause, cancelled).await?,
        };
    }
    Ok(state)
}

/// Whether a cancellation of this order is queued behind this event.
fn is_cancellation_queued(delivery: &Delivery, order_id: OrderId) -> bool {
    let followers = delivery.followers();
    followers.iter().any(|record| {
        let decoded = record::decode(&record.headers, record.payload.as_deref());
        // A record that cannot be decoded is rejected when it is handled itself.
        matches!(decoded, Ok(Some(received))
            if matches!(received.event, OrderEvent::CancellationRequested(_))
                && received.meta.order_id == order_id.as_uuid())
    })
}

#[cfg(test)]
mod tests;
