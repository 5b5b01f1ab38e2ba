//! The span of a step.

use super::pipeline::StepError;
use crate::domain::SagaState;
use crate::names::{attributes as attr, spans};

/// Runs the step of this name within its own span, which shows a rejection or an error.
pub(super) async fn step(
    name: &'static str,
    work: impl Future<Output = Result<SagaState, StepError>>,
) -> Result<SagaState, StepError> {
    let span = spans::STEP.within(name);
    span.set(&attr::ORDER_STEP, name);
    let ended = span.carry(work).await;
    match &ended {
        Ok(SagaState::Rejected(reason)) => {
            span.set(&attr::ORDER_REJECTION_REASON, reason.name());
        }
        Ok(_) => {}
        Err(error) => span.fail(error.name()),
    }
    ended
}
