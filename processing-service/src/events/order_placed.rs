//! `OrderPlaced`: take the order through its steps, to its end.
//!
//! Between the steps it looks whether the customer has cancelled meanwhile: a `CancellationRequested` has the same
//! key, so it waits behind this event and would otherwise only be seen when the order is shipped.

use consumer::{Delivery, Failure};
use proto::event::OrderEvent;
use proto::orders::v1::OrderPlaced;
use proto::record;
use service::crash_points::{CrashPoint, reach};

use super::failure;
use crate::conversion;
use crate::domain::{Order, OrderId, SagaState};
use crate::steps::{Pipeline, StepError, compensate};
use crate::store::Cause;

/// Handles the event. The saga is taken to be new: if it is not, its first step answers with where it stands.
pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &OrderPlaced,
    cause: &Cause,
    delivery: &Delivery,
) -> Result<(), Failure> {
    let order = conversion::order(event).map_err(Failure::reject)?;
    let cancelled = || cancellation_waits(delivery, order.id);
    let end = process(pipeline, &order, cause, &cancelled)
        .await
        .map_err(failure)?;
    tracing::debug!(order_id = %order.id, state = ?end, "order is processed");
    Ok(())
}

/// Takes steps until the saga has ended.
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
            _ => pipeline.take(step, order, cause).await?,
        };
    }
    Ok(state)
}

/// Whether a cancellation of this order has arrived and waits behind this event.
fn cancellation_waits(delivery: &Delivery, order_id: OrderId) -> bool {
    let followers = delivery.followers();
    followers.iter().any(|record| {
        let decoded = record::decode(&record.headers, record.payload.as_deref());
        // One that cannot be read is rejected when its own turn comes.
        matches!(decoded, Ok(Some(received))
            if matches!(received.event, OrderEvent::CancellationRequested(_))
                && received.meta.order_id == order_id.as_uuid())
    })
}

#[cfg(test)]
mod tests;
