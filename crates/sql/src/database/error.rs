//! Why a database cannot be opened, used, migrated or looked at.

use std::path::PathBuf;

use service::command_line::ExitError;
use sqlx::migrate::MigrateError;

use super::not_ready::NotReady;
use crate::sqlite::OpenError as SqliteError;

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// The URL cannot be understood.
    #[error("the database URL")]
    Url(#[source] sqlx::Error),
}

/// Why waiting for a database would be in vain.
#[derive(Debug, thiserror::Error)]
pub enum UnusableError {
    /// The server refuses this user or this password.
    #[error(
        "the database refuses the login: check user and password in DATABASE_URL or PGPASSWORD"
    )]
    Login(#[source] sqlx::Error),
    /// The server has no such database.
    #[error("the database does not exist: create it, or correct its name in DATABASE_URL")]
    Missing(#[source] sqlx::Error),
    /// No encrypted connection can be made as configured.
    #[error("no TLS connection to the database: check sslmode and sslrootcert in DATABASE_URL")]
    Tls(#[source] sqlx::Error),
    /// The stored migrations are not those of this program.
    #[error("the schema was migrated by another program, or a migration was changed afterwards")]
    Foreign(#[source] MigrateError),
}

/// The schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database will not be usable.
    #[error(transparent)]
    Unusable(#[from] UnusableError),
    /// A migration failed; what it began is rolled back.
    #[error("migrating the database")]
    Migrate(#[source] MigrateError),
    /// The database does not answer.
    #[error("reading the version of the schema")]
    Version(#[source] sqlx::Error),
}

/// The database of a service cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no such file. It is not created: nothing would be found in it.
    #[error("there is no database at {0}: check DATABASE_URL")]
    Missing(PathBuf),
    /// The database will not be usable.
    #[error(transparent)]
    Unusable(#[from] UnusableError),
    /// The database is away, or older than this release.
    #[error("the database cannot be used: {0}")]
    NotReady(String),
}

impl MigrationError {
    pub(super) fn reading_version(error: sqlx::Error) -> Self {
        match NotReady::from(error).lasting() {
            Err(unusable) => Self::Unusable(unusable),
            Ok(NotReady::Away(error)) => Self::Version(error),
            Ok(NotReady::Migration(error)) => Self::Migrate(error),
            Ok(NotReady::OldSchema { .. }) => Self::Version(sqlx::Error::RowNotFound),
        }
    }
}

impl From<MigrationError> for ExitError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Unusable(error) => Self::configuration(error),
            error => Self::failed(error),
        }
    }
}

impl InspectionError {
    /// Whether a human has to change a setting, or what it points to.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Unusable(_))
    }
}

impl From<OpenError> for ExitError {
    fn from(error: OpenError) -> Self {
        Self::failed(error)
    }
}

impl From<UnusableError> for ExitError {
    fn from(error: UnusableError) -> Self {
        Self::configuration(error)
    }
}
