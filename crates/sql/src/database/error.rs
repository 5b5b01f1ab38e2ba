//! Errors of opening, migrating and inspecting a database, with their exit codes.

use std::path::PathBuf;

use service::command_line::ExitError;
use sqlx::migrate::MigrateError;

use crate::owner::WrongOwner;
use crate::sqlite::OpenError as SqliteError;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    #[error("parsing the database URL")]
    Url(#[source] sqlx::Error),
}

/// The configuration or the database must change; waiting does not help.
#[derive(Debug, thiserror::Error)]
pub enum UnusableError {
    #[error(
        "the database rejects the login: check user and password in DATABASE_URL or PGPASSWORD"
    )]
    Login(#[source] sqlx::Error),
    #[error("the database does not exist: create it, or correct its name in DATABASE_URL")]
    Missing(#[source] sqlx::Error),
    #[error("no TLS connection to the database: check sslmode and sslrootcert in DATABASE_URL")]
    Tls(#[source] sqlx::Error),
    /// Timeouts, prepared statements and the lock of a migration belong to a session.
    #[error(
        "a connection pooler gives each transaction another session: use its session mode (PgBouncer: pool_mode = session), or connect to the server"
    )]
    TransactionPooling,
    /// The checksum of an applied migration differs.
    #[error(
        "the schema was migrated by another program, or a migration was changed after it was applied"
    )]
    Foreign(#[source] MigrateError),
    #[error(transparent)]
    Owner(#[from] WrongOwner),
}

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Unusable(#[from] UnusableError),
    /// A migration failed and was rolled back.
    #[error("migrating the database")]
    Migrate(#[source] MigrateError),
    #[error("reading the version of the schema")]
    Version(#[source] sqlx::Error),
}

/// An operator command cannot use the database of a service.
#[derive(Debug, thiserror::Error)]
pub enum InspectionError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file does not exist. It is not created, because it would be empty.
    #[error("there is no database at {0}: check DATABASE_URL")]
    Missing(PathBuf),
    #[error(transparent)]
    Unusable(#[from] UnusableError),
    /// The database is down, or its schema is older than this release.
    #[error("the database cannot be used: {0}")]
    NotReady(String),
}

impl From<MigrationError> for ExitError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Unusable(error) => Self::configuration(error),
            MigrationError::Open(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl InspectionError {
    /// Whether a setting, or the file or server it points to, must change.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Unusable(_) => true,
            Self::Open(error) => error.is_configuration(),
            Self::NotReady(_) => false,
        }
    }
}

impl OpenError {
    /// Whether DATABASE_URL points to a database that is not this service's: it belongs to another one, or another program
    /// has migrated it.
    fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Sqlite(
                SqliteError::Owner(_) | SqliteError::Migrate(MigrateError::VersionMismatch(_))
            )
        )
    }
}

impl From<OpenError> for ExitError {
    fn from(error: OpenError) -> Self {
        if error.is_configuration() {
            return Self::configuration(error);
        }
        Self::failed(error)
    }
}

impl From<UnusableError> for ExitError {
    fn from(error: UnusableError) -> Self {
        Self::configuration(error)
    }
}
