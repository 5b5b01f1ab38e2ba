//! The first step: set every piece aside, or reject the order for want of one.

use super::{Pipeline, StepError, observed};
use crate::domain::{Order, SagaState};
use crate::store::{Cause, OpenSaga, Opening};

/// Opens the order's saga. What is in stock is known by the store only, so it decides in its transaction.
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
