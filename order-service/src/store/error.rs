//! Store errors, and their classification.

use sql::error::{Classified, ErrorClass, classify};
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
    /// Classifies an error of this operation. An error of no known class counts as transient: a retry is safe, since every
    /// command is idempotent.
    pub(super) fn of(operation: &'static str, error: sqlx::Error) -> Self {
        let class = classify(&error);
        let source = error.into();
        match class {
            ErrorClass::Damaged => Self::Damaged { operation, source },
            _ => Self::Unavailable { operation, source },
        }
    }
}

impl Classified for StoreError {
    fn class(&self) -> ErrorClass {
        let (Self::Unavailable { source, .. } | Self::Damaged { source, .. }) = self;
        let error = source.downcast_ref::<sqlx::Error>();
        error.map_or(ErrorClass::Unknown, classify)
    }
}
