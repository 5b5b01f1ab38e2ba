//! The first step: reserves the whole demand, or rejects the order.

use super::pipeline::{Pipeline, StepError};
use crate::domain::{Order, SagaState};
use crate::store::{Cause, Opening};

/// Opens the order's saga. The stock is checked inside the store's transaction, where its rows are locked.
pub(super) async fn run(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    pipeline.open(order, Opening::Reserve, cause).await
}
