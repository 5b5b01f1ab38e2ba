//! Store errors, and their classification.

use sql::error::{ErrorClass, classify};
use thiserror::Error;

/// Why a store operation failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database is down, overloaded, out of disk space, or not migrated yet: a retry may succeed.
    #[error("{operation}: the database failed")]
    Unavailable {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stored data or the schema is not as this release writes it: a retry fails again.
    #[error("{operation}: the stored data is not as expected")]
    Damaged {
        operation: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether every other command fails now as well, since the database is the cause and not the command.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Classifies an error of this operation. An error of no known class counts as transient: a retry is safe, since every
/// command is idempotent.
pub(super) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        let class = classify(&error);
        let source = error.into();
        match class {
            ErrorClass::Damaged => StoreError::Damaged { operation, source },
            ErrorClass::Unavailable | ErrorClass::Conflict | ErrorClass::Unknown => {
                StoreError::Unavailable { operation, source }
            }
        }
    }
}
