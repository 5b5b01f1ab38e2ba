//! Whether an event is retried after an error of its step.

use consumer::Failure;

use crate::steps::StepError;
use crate::store::StoreError;

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        match &error {
            StepError::Refund(_) | StepError::Interrupted(_) => Failure::retry(error),
            StepError::Store(cause) if cause.is_transient() => Failure::retry(error),
            StepError::Store(_) => Failure::reject(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        StepError::from(error).into()
    }
}
