//! `CancellationRequested`: usually handled after the order's own event has ended the saga, because both have the same
//! key; then it is a no-op. An order that this service has never seen is cancelled, unless its saga may be deleted.

use std::time::SystemTime;

use consumer::Failure;
use proto::orders::v1::CancellationRequested;
use service::crash_points::{CrashPoint, reach};

use crate::conversion;
use crate::retention::{Forgotten, may_be_forgotten};
use crate::steps::{Pipeline, StepError, compensate};
use crate::store::Cause;

pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &CancellationRequested,
    cause: &Cause,
) -> Result<(), Failure> {
    let order_id = conversion::order_id(&event.order_id).map_err(Failure::reject)?;
    let saga = pipeline.store.saga(order_id).await?;
    let mut state = match saga {
        Some(state) => state,
        // Its saga, which may have shipped it, can be deleted.
        None if may_be_forgotten(order_id, pipeline.sagas_kept, SystemTime::now()) => {
            return Err(Failure::reject(Forgotten(order_id)));
        }
        // The order's own event has the same key and comes first: it was lost, or skipped by an operator. Nothing of the
        // order was done, and its customer waits for an answer. The saga remains, so that the order does not start if its
        // event arrives after all.
        None => compensate::cancel_unseen(pipeline, order_id, cause).await?,
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
