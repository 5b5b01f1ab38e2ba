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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_database_is_retried_and_damaged_data_is_rejected() {
        let unavailable = StoreError::Database(sqlx::Error::PoolTimedOut);
        let damaged = StoreError::Database(sqlx::Error::Decode("no such state".into()));

        assert!(matches!(Failure::from(unavailable), Failure::Retry(_)));
        assert!(matches!(Failure::from(damaged), Failure::Reject(_)));
    }
}
