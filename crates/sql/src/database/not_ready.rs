//! What stands between a service and its database, and whether it may pass.

use sqlx::migrate::MigrateError;

use super::UnusableError;
use crate::postgres::{self, SchemaError};
use service::error_chain::ErrorChain;

/// What stands between a service and its database.
#[derive(Debug)]
pub(super) enum NotReady {
    Away(sqlx::Error),
    OldSchema {
        owner: &'static str,
        found: i64,
        needed: i64,
    },
    Migration(MigrateError),
}

impl From<sqlx::Error> for NotReady {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(error)
    }
}

impl From<SchemaError> for NotReady {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Database(error) => Self::Away(error),
            SchemaError::Old {
                owner,
                found,
                needed,
            } => Self::OldSchema {
                owner,
                found,
                needed,
            },
        }
    }
}

impl From<MigrateError> for NotReady {
    fn from(error: MigrateError) -> Self {
        match error {
            // What fails before a migration begins is the connection.
            MigrateError::Execute(error) => Self::Away(error),
            other => Self::Migration(other),
        }
    }
}

impl NotReady {
    /// Itself, if it may pass; otherwise what is to be done about it.
    pub(super) fn lasting(self) -> Result<Self, UnusableError> {
        match self {
            Self::Away(error) => lasting(error).map(Self::Away),
            Self::Migration(error @ MigrateError::VersionMismatch(_)) => {
                Err(UnusableError::Foreign(error))
            }
            passing => Ok(passing),
        }
    }

    pub(super) fn advice(&self, service: &str) -> String {
        match self {
            Self::Away(error) => ErrorChain(error).to_string(),
            Self::Migration(error) => ErrorChain(error).to_string(),
            Self::OldSchema {
                owner,
                found,
                needed,
            } => format!(
                "the {owner} schema is at version {found}, this release needs {needed}: run `{service} migrate`"
            ),
        }
    }
}

/// Tells a configuration that is wrong, by SQLSTATE, from a server that is away.
fn lasting(error: sqlx::Error) -> Result<sqlx::Error, UnusableError> {
    if matches!(error, sqlx::Error::Tls(_)) {
        return Err(UnusableError::Tls(error));
    }
    match postgres::code(&error).as_deref() {
        // invalid_password, invalid_authorization_specification
        Some("28P01" | "28000") => Err(UnusableError::Login(error)),
        // invalid_catalog_name
        Some("3D000") => Err(UnusableError::Missing(error)),
        _ => Ok(error),
    }
}
