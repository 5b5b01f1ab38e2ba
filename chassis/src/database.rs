//! The database of a service, whichever engine its URL names: opened, brought up to date, and waited for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;

use crate::backoff::Backoff;
use crate::config::{DatabaseEngine, DatabaseUrl, Settings};
use crate::postgres::Postgres;
use crate::schema::last_version;
use crate::sqlite::{self, OpenError as SqliteError, Sqlite};

mod parts;

mod error;
mod obstacle;

pub mod telemetry;

pub use error::{InspectionError, MigrationError, OpenError, UnusableError};

use obstacle::Obstacle;
use telemetry::Statements;

/// How a service reaches its database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// Where it is, and which engine.
    pub url: DatabaseUrl,
    /// Most connections of this process (PostgreSQL).
    pub connections: u32,
    /// Whether the schema is brought up to date at start (PostgreSQL; a SQLite file always is).
    pub migrate_at_start: bool,
}

/// One pool serves commits, reads, the relay and the leases: fewer connections would let them wait for each other.
const LEAST_CONNECTIONS: u32 = 4;

impl DatabaseConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>, default_url: &'static str) -> Self {
        let config = Self {
            url: settings.value(
                "DATABASE_URL",
                default_url,
                "where data is kept: `sqlite://PATH`, created if need be, or `postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=CA.pem`, the password in it or in PGPASSWORD",
            ),
            connections: settings.value(
                "DATABASE_POOL",
                "10",
                "PostgreSQL: most connections of this process, at least 4",
            ),
            migrate_at_start: settings.value(
                "DATABASE_MIGRATE",
                "false",
                "PostgreSQL: whether to bring the schema up to date at start; otherwise the subcommand `migrate` does it",
            ),
        };
        if config.connections < LEAST_CONNECTIONS {
            settings.reject(
                "DATABASE_POOL",
                format!("must be at least {LEAST_CONNECTIONS}"),
            );
        }
        config
    }
}

/// The schema of a service, for each engine.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// For SQLite.
    pub sqlite: &'static Migrator,
    /// For PostgreSQL.
    pub postgres: &'static Migrator,
}

/// An open database; clones share it.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file of this process.
    Sqlite(Arc<Sqlite>),
    /// A server that replicas share.
    Postgres(Arc<Postgres>),
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version before.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        if from == to {
            write!(f, "the database schema is at version {to} already")
        } else {
            write!(
                f,
                "the database schema was brought from version {from} to {to}"
            )
        }
    }
}

/// Waits between looks at a database that is not usable yet.
const WAIT: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

impl Database {
    /// Opens the database. A SQLite file is brought up to date; a PostgreSQL server is not contacted yet.
    ///
    /// # Errors
    /// [`OpenError`] when the file or the URL cannot be used.
    pub async fn open(config: &DatabaseConfig, migrations: Migrations) -> Result<Self, OpenError> {
        match config.url.engine() {
            DatabaseEngine::Sqlite => {
                let file = Sqlite::open(&config.url, migrations.sqlite).await?;
                Ok(Self::Sqlite(Arc::new(file)))
            }
            DatabaseEngine::Postgres => {
                let server = Postgres::new(&config.url, config.connections);
                Ok(Self::Postgres(Arc::new(server.map_err(OpenError::Url)?)))
            }
        }
    }

    /// Waits until the database answers and its schema has what this release needs, migrating it first if so configured.
    /// What keeps it waiting is logged, once per cause; `service` is the program to name in the advice.
    ///
    /// # Errors
    /// [`UnusableError`] for what does not get better by waiting.
    pub async fn ready(
        &self,
        config: &DatabaseConfig,
        migrations: Migrations,
        service: &str,
    ) -> Result<(), UnusableError> {
        let Self::Postgres(server) = self else {
            return Ok(());
        };
        let mut attempt = 0;
        let mut told = String::new();
        loop {
            let Err(obstacle) = usable(server, config, migrations.postgres).await else {
                return Ok(());
            };
            let obstacle = obstacle.lasting()?.advice(service);
            if obstacle != told {
                tracing::warn!(detail = obstacle, "waiting for the database");
                told = obstacle;
            }
            attempt += 1;
            tokio::time::sleep(WAIT.delay(attempt)).await;
        }
    }

    /// Opens the database of a service for an operator: nothing is created, and nothing is waited for.
    ///
    /// # Errors
    /// [`InspectionError`] when it is not there, or not what this release needs.
    pub async fn inspect(
        config: &DatabaseConfig,
        migrations: Migrations,
        service: &str,
    ) -> Result<Self, InspectionError> {
        match config.url.engine() {
            DatabaseEngine::Sqlite => Self::inspect_file(config, migrations).await,
            DatabaseEngine::Postgres => Self::inspect_server(config, migrations, service).await,
        }
    }

    async fn inspect_file(
        config: &DatabaseConfig,
        migrations: Migrations,
    ) -> Result<Self, InspectionError> {
        let file = sqlite::file(&config.url).map_err(SqliteError::from);
        let file = file.map_err(OpenError::from)?;
        if !file.exists() {
            return Err(InspectionError::Missing(file));
        }
        let opened = Sqlite::open_beside(&config.url, migrations.sqlite).await;
        Ok(Self::Sqlite(Arc::new(opened.map_err(OpenError::from)?)))
    }

    async fn inspect_server(
        config: &DatabaseConfig,
        migrations: Migrations,
        service: &str,
    ) -> Result<Self, InspectionError> {
        let database = Self::open(config, migrations).await?;
        if let Self::Postgres(server) = &database
            && let Err(obstacle) = server.check_schema(migrations.postgres).await
        {
            let obstacle = Obstacle::from(obstacle).lasting()?;
            return Err(InspectionError::NotReady(obstacle.advice(service)));
        }
        Ok(database)
    }

    /// What observes the statements of this database.
    pub fn statements(&self) -> &Statements {
        match self {
            Self::Sqlite(file) => file.statements(),
            Self::Postgres(server) => server.statements(),
        }
    }

    /// Shows how many connections are open and in use. SQLite's are a fixed few, and never the limit.
    pub fn observe(&self) {
        if let Self::Postgres(server) = self {
            server.observe();
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.close().await,
            Self::Postgres(server) => server.close().await,
        }
    }
}

/// Brings the schema up to date: the subcommand `migrate`.
///
/// # Errors
/// [`MigrationError`]; a migration that failed was rolled back.
pub async fn migrate(
    config: &DatabaseConfig,
    migrations: Migrations,
) -> Result<Migrated, MigrationError> {
    let database = Database::open(config, migrations).await?;
    let migrated = match &database {
        // Opening it has done everything.
        Database::Sqlite(_) => Ok(at_last_version(migrations.sqlite)),
        Database::Postgres(server) => migrate_server(server, migrations.postgres).await,
    };
    database.close().await;
    migrated
}

fn at_last_version(migrator: &Migrator) -> Migrated {
    let version = last_version(migrator);
    Migrated {
        from: version,
        to: version,
    }
}

async fn migrate_server(
    server: &Postgres,
    migrator: &Migrator,
) -> Result<Migrated, MigrationError> {
    let unreadable = |error| match Obstacle::from(error).lasting() {
        Err(unusable) => MigrationError::Unusable(unusable),
        Ok(Obstacle::Away(error)) => MigrationError::Version(error),
        Ok(Obstacle::Migration(error)) => MigrationError::Migrate(error),
        Ok(Obstacle::OldSchema { .. }) => MigrationError::Version(sqlx::Error::RowNotFound),
    };
    let from = server.schema_version().await.map_err(unreadable)?;
    server
        .migrate(migrator)
        .await
        .map_err(MigrationError::Migrate)?;
    let to = server.schema_version().await.map_err(unreadable)?;
    Ok(Migrated { from, to })
}

async fn usable(
    server: &Postgres,
    config: &DatabaseConfig,
    migrator: &Migrator,
) -> Result<(), Obstacle> {
    if config.migrate_at_start {
        server.migrate(migrator).await?;
    }
    Ok(server.check_schema(migrator).await?)
}
