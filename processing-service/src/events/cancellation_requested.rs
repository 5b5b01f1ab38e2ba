//! `CancellationRequested`: usually handled after the order's own event has ended the saga, because both have the same
//! key; then it is a no-op.

use consumer::Failure;
use proto::orders::v1::CancellationRequested;
use service::crash_points::{CrashPoint, reach};

use crate::conversion;
use crate::steps::{Pipeline, StepError, compensate};
use crate::store::{Cause, StoreError};

pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &CancellationRequested,
    cause: &Cause,
) -> Result<(), Failure> {
    let order_id = conversion::order_id(&event.order_id).map_err(Failure::reject)?;
    let saga = pipeline.store.saga(order_id).await?;
    // The order is consumed before its cancellation, so its record is a dead letter or was lost. Ending the order here
    // would let a stray record create one, and a later redrive of the order's record would find it ended. As dead
    // letters, both can be redriven in order.
    let Some(mut state) = saga else {
        return Err(StoreError::NoSaga(order_id).into());
    };
    if state.is_final() {
        return Ok(pipeline.store.acknowledge(cause.clone()).await?);
    }
    // The order's own event became a dead letter between two steps: end the order from its stored saga.
    if state.can_be_cancelled() {
        state = compensate::cancel(pipeline, order_id, cause).await?;
        reach(CrashPoint::BetweenSteps).map_err(StepError::from)?;
    }
    if !state.is_final() {
        state = compensate::run(pipeline, order_id, cause).await?;
    }
    tracing::debug!(%order_id, ?state, "order cancelled");
    Ok(())
}
