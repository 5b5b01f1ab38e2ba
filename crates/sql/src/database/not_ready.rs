//! Reasons why a database is not ready, divided into transient and permanent ones.

use sqlx::migrate::MigrateError;

use super::error::{MigrationError, UnusableError};
use crate::error::code;
use crate::postgres::SchemaError;
use service::error_chain::ErrorChain;

#[derive(Debug)]
pub(super) enum NotReady {
    Unreachable(sqlx::Error),
    OldSchema(SchemaError),
    Migration(MigrateError),
}

impl From<SchemaError> for NotReady {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Database(error) => Self::Unreachable(error),
            old => Self::OldSchema(old),
        }
    }
}

impl From<MigrateError> for NotReady {
    fn from(error: MigrateError) -> Self {
        match error {
            // Before a migration starts, only the connection can fail.
            MigrateError::Execute(error) => Self::Unreachable(error),
            other => Self::Migration(other),
        }
    }
}

impl NotReady {
    /// Returns transient reasons as they are.
    ///
    /// # Errors
    /// [`UnusableError`] for permanent ones, with advice for the operator.
    pub(super) fn transient(self) -> Result<Self, UnusableError> {
        match self {
            Self::Unreachable(error) => reachable_later(error).map(Self::Unreachable),
            Self::Migration(error @ MigrateError::VersionMismatch(_)) => {
                Err(UnusableError::Foreign(error))
            }
            transient => Ok(transient),
        }
    }

    pub(super) fn advice(&self, service: &str) -> String {
        match self {
            Self::Unreachable(error) => ErrorChain(error).to_string(),
            Self::Migration(error) => ErrorChain(error).to_string(),
            Self::OldSchema(error) => format!("{error}: run `{service} migrate`"),
        }
    }
}

/// Separates a wrong configuration, by SQLSTATE, from a server that is down.
fn reachable_later(error: sqlx::Error) -> Result<sqlx::Error, UnusableError> {
    if matches!(error, sqlx::Error::Tls(_)) {
        return Err(UnusableError::Tls(error));
    }
    match code(&error).as_deref() {
        // invalid_password, invalid_authorization_specification
        Some("28P01" | "28000") => Err(UnusableError::Login(error)),
        // invalid_catalog_name
        Some("3D000") => Err(UnusableError::Missing(error)),
        _ => Ok(error),
    }
}

/// The error of `migrate` when the version of the schema cannot be read.
pub(super) fn version_unknown(error: sqlx::Error) -> MigrationError {
    match reachable_later(error) {
        Err(unusable) => MigrationError::Unusable(unusable),
        Ok(error) => MigrationError::Version(error),
    }
}
