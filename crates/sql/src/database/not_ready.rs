//! Reasons why a database is not ready, divided into transient and permanent ones.

use sqlx::migrate::MigrateError;

use super::error::{MigrationError, UnusableError};
use crate::error::code;
use crate::postgres::{PoolingError, SchemaError};
use service::error_chain::ErrorChain;

/// Why the schema cannot be used yet, with advice for the operator.
///
/// # Errors
/// [`UnusableError`] when waiting does not help.
pub(super) fn old_schema(error: SchemaError, service: &str) -> Result<String, UnusableError> {
    match error {
        SchemaError::Database(error) => unreachable(error),
        old => Ok(format!("{old}: run `{service} migrate`")),
    }
}

/// Why no session can be used yet.
///
/// # Errors
/// As [`old_schema`].
pub(super) fn no_session(error: PoolingError) -> Result<String, UnusableError> {
    match error {
        PoolingError::Database(error) => unreachable(error),
        PoolingError::SharedSessions => Err(UnusableError::TransactionPooling),
    }
}

/// Why the migration at start has failed.
///
/// # Errors
/// As [`old_schema`].
pub(super) fn not_migrated(error: MigrationError) -> Result<String, UnusableError> {
    match error {
        MigrationError::Unusable(error) => Err(error),
        MigrationError::Migrate(error) => migration_failed(error),
        other => Ok(ErrorChain(&other).to_string()),
    }
}

fn migration_failed(error: MigrateError) -> Result<String, UnusableError> {
    match error {
        // Before a migration starts, only the connection can fail.
        MigrateError::Execute(error) => unreachable(error),
        error @ MigrateError::VersionMismatch(_) => Err(UnusableError::Foreign(error)),
        other => Ok(ErrorChain(&other).to_string()),
    }
}

pub(super) fn unreachable(error: sqlx::Error) -> Result<String, UnusableError> {
    Ok(ErrorChain(&reachable_later(error)?).to_string())
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

/// The error of `migrate` when no session can be used.
pub(super) fn no_session_to_migrate(error: PoolingError) -> MigrationError {
    match error {
        PoolingError::Database(error) => version_unknown(error),
        PoolingError::SharedSessions => UnusableError::TransactionPooling.into(),
    }
}

/// The error of `migrate` when the version of the schema cannot be read.
pub(super) fn version_unknown(error: sqlx::Error) -> MigrationError {
    match reachable_later(error) {
        Err(unusable) => MigrationError::Unusable(unusable),
        Ok(error) => MigrationError::Version(error),
    }
}
