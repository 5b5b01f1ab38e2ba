//! The first step: reserves the whole demand, or rejects the order.

use super::observed;
use super::pipeline::{Pipeline, StepError};
use crate::domain::{Order, SagaState};
use crate::store::{Cause, OpenSaga, Opening};

/// Opens the order's saga. The stock is checked inside the store's transaction, where its rows are locked.
pub async fn run(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let reserving = async {
        let saga = OpenSaga::new(order, Opening::Reserve);
        let recorded = pipeline.store.open(saga, cause.clone()).await?;
        Ok(recorded.state())
    };
    observed::step("reserve stock", reserving).await
}
