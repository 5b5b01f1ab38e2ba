//! `CancellationRequested`: by the time it is handled, the order before it has almost always ended, and who came first
//! is decided.

use consumer::Failure;
use proto::orders::v1::CancellationRequested;
use service::crash_points::{CrashPoint, reach};

use super::failure;
use crate::conversion;
use crate::steps::{Pipeline, compensate};
use crate::store::{Cause, StoreError};

/// Handles the event.
pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &CancellationRequested,
    cause: &Cause,
) -> Result<(), Failure> {
    let order_id = conversion::order_id(&event.order_id).map_err(Failure::reject)?;
    let saga = pipeline.store.saga(order_id).await.map_err(failure)?;
    // The order is consumed before its cancellation, so its record was set aside or lost. Ending it here would let any
    // stray record invent an order, and a later redrive of the lost one find it ended. Set aside, both can be redriven
    // in order.
    let Some(mut state) = saga else {
        return Err(failure(StoreError::NoSaga(order_id)));
    };
    if state.is_final() {
        return pipeline
            .store
            .acknowledge(cause.clone())
            .await
            .map_err(failure);
    }
    // The order's own event was set aside halfway: end it here, from what its saga has kept.
    if state.can_be_cancelled() {
        state = compensate::cancel(pipeline, order_id, cause)
            .await
            .map_err(failure)?;
        reach(CrashPoint::BetweenSteps).map_err(failure)?;
    }
    if !state.is_final() {
        state = compensate::run(pipeline, order_id, cause)
            .await
            .map_err(failure)?;
    }
    tracing::debug!(%order_id, ?state, "order is cancelled after all");
    Ok(())
}
