//! A step as it is seen in the trace of its order.

use super::StepError;
use crate::domain::SagaState;
use crate::names::{attributes, spans};

/// Takes the step of this name within a span of its own, which shows whether it ended in a rejection.
pub(super) async fn step(
    name: &'static str,
    work: impl Future<Output = Result<SagaState, StepError>>,
) -> Result<SagaState, StepError> {
    let span = spans::STEP.within(name);
    span.set(&attributes::ORDER_STEP, name);
    let taken = span.carry(work).await;
    match &taken {
        Ok(SagaState::Rejected(reason)) => {
            span.set(&attributes::ORDER_REJECTION_REASON, reason.name());
        }
        Ok(_) => {}
        Err(error) => span.fail(error.name()),
    }
    taken
}
