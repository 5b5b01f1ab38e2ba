//! The database of a service, on the engine of its URL: open, migrate, wait until ready, inspect.
//!
//! A SQLite file is created and migrated when it is opened. A PostgreSQL server is migrated by the subcommand `migrate`,
//! or at start if so configured; [`Database::ready`] waits for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::migrations::{MigrationSet, Migrations};
use crate::postgres::Postgres;
use crate::sqlite::{self, OpenError as SqliteError, Sqlite};
use crate::statements::Statements;
use crate::url::{DatabaseEngine, DatabaseUrl};
use service::backoff::Backoff;
use service::command_line::Command;
use service::config::{ConfigError, Settings};

mod error;
mod not_ready;

pub use error::{InspectionError, MigrationError, OpenError, UnusableError};

use not_ready::NotReady;

/// Settings of the database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub url: DatabaseUrl,
    /// PostgreSQL: maximum connections of this process.
    pub connections: u32,
    /// PostgreSQL: migrate at start. A SQLite file is always migrated.
    pub migrate_at_start: bool,
}

/// Commits, reads, the relay and the leases share the pool: with fewer connections they wait for each other.
const MIN_CONNECTIONS: u32 = 4;

impl DatabaseConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>, default_url: &'static str) -> Self {
        let config = Self {
            url: settings.value(
                "DATABASE_URL",
                default_url,
                "`sqlite://PATH`, created if missing, or `postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=CA.pem` with the password in the URL or in PGPASSWORD",
            ),
            connections: settings.value(
                "DATABASE_POOL",
                "10",
                "PostgreSQL: maximum connections of this process, at least 4",
            ),
            migrate_at_start: settings.value(
                "DATABASE_MIGRATE",
                "false",
                "PostgreSQL: migrate the schema at start; if false, run the subcommand `migrate`",
            ),
        };
        if config.connections < MIN_CONNECTIONS {
            settings.reject(
                "DATABASE_POOL",
                format!("must be at least {MIN_CONNECTIONS}"),
            );
        }
        config
    }
}

/// An open database; clones share it.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file, used by this process alone.
    Sqlite(Arc<Sqlite>),
    /// A server, shared by all replicas.
    Postgres(Arc<Postgres>),
}

/// The result of a migration: the version before and after, per migration set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated(Vec<SetMigrated>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct SetMigrated {
    owner: &'static str,
    from: i64,
    to: i64,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for SetMigrated { owner, from, to } in &self.0 {
            write!(f, "{separator}{owner} schema: ")?;
            if from == to {
                write!(f, "already at version {to}")?;
            } else {
                write!(f, "migrated from version {from} to {to}")?;
            }
            separator = "\n";
        }
        Ok(())
    }
}

/// Between checks of a database that is not ready.
const READY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

impl Database {
    /// Opens the database. A SQLite file is created and migrated; a PostgreSQL server is not contacted yet.
    ///
    /// # Errors
    /// [`OpenError`] for an unusable file or URL.
    pub async fn open(config: &DatabaseConfig, migrations: Migrations) -> Result<Self, OpenError> {
        match config.url.engine() {
            DatabaseEngine::Sqlite => {
                let file = Sqlite::open(&config.url, migrations).await?;
                Ok(Self::Sqlite(Arc::new(file)))
            }
            DatabaseEngine::Postgres => {
                let server = Postgres::new(&config.url, config.connections);
                Ok(Self::Postgres(Arc::new(server.map_err(OpenError::Url)?)))
            }
        }
    }

    /// Waits until the database responds and its schema has all migrations of this release; migrates it if so configured.
    /// Logs each new cause of waiting once, with the advice to run `service migrate`.
    ///
    /// # Errors
    /// [`UnusableError`] when waiting does not help.
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
        let mut logged = String::new();
        loop {
            let Err(not_ready) = usable(server, config, migrations).await else {
                return Ok(());
            };
            let not_ready = not_ready.transient()?.advice(service);
            if not_ready != logged {
                tracing::warn!(detail = not_ready, "waiting for the database");
                logged = not_ready;
            }
            attempt += 1;
            tokio::time::sleep(READY_BACKOFF.delay(attempt)).await;
        }
    }

    /// Opens the database of a service for an operator command. Creates nothing and does not wait.
    ///
    /// # Errors
    /// [`InspectionError`] when the database is missing, down, or older than this release.
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
        let opened = Sqlite::open_beside(&config.url, migrations).await;
        Ok(Self::Sqlite(Arc::new(opened.map_err(OpenError::from)?)))
    }

    async fn inspect_server(
        config: &DatabaseConfig,
        migrations: Migrations,
        service: &str,
    ) -> Result<Self, InspectionError> {
        let database = Self::open(config, migrations).await?;
        if let Self::Postgres(server) = &database
            && let Err(not_ready) = server.check_schema(migrations).await
        {
            let not_ready = NotReady::from(not_ready).transient()?;
            return Err(InspectionError::NotReady(not_ready.advice(service)));
        }
        Ok(database)
    }

    pub fn statements(&self) -> &Statements {
        match self {
            Self::Sqlite(file) => file.statements(),
            Self::Postgres(server) => server.statements(),
        }
    }

    /// Registers the metrics of the connection pool. SQLite has a fixed number of connections, so it has none.
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

/// The subcommand `migrate`.
pub fn command(
    config: impl FnOnce() -> Result<DatabaseConfig, ConfigError> + 'static,
    migrations: Migrations,
) -> Command {
    let about = "Migrate the database schema";
    Command::new("migrate", about, async move || {
        println!("{}", migrate(&config()?, migrations).await?);
        Ok(())
    })
}

/// Migrates the schema.
///
/// # Errors
/// [`MigrationError`]; a failed migration is rolled back.
pub async fn migrate(
    config: &DatabaseConfig,
    migrations: Migrations,
) -> Result<Migrated, MigrationError> {
    let database = Database::open(config, migrations).await?;
    let migrated = match &database {
        // Opening the file has migrated it.
        Database::Sqlite(_) => Ok(at_last_version(migrations)),
        Database::Postgres(server) => migrate_server(server, migrations).await,
    };
    database.close().await;
    migrated
}

fn at_last_version(migrations: Migrations) -> Migrated {
    let at_last = |set: &MigrationSet| SetMigrated {
        owner: set.owner,
        from: set.last_version(),
        to: set.last_version(),
    };
    Migrated(migrations.iter().map(at_last).collect())
}

async fn migrate_server(
    server: &Postgres,
    migrations: Migrations,
) -> Result<Migrated, MigrationError> {
    let before = versions(server, migrations).await?;
    server
        .migrate(migrations)
        .await
        .map_err(MigrationError::Migrate)?;
    let after = versions(server, migrations).await?;
    let sets = migrations.iter().zip(before.into_iter().zip(after));
    let migrated = sets.map(|(set, (from, to))| SetMigrated {
        owner: set.owner,
        from,
        to,
    });
    Ok(Migrated(migrated.collect()))
}

async fn versions(server: &Postgres, migrations: Migrations) -> Result<Vec<i64>, MigrationError> {
    let mut versions = Vec::new();
    for set in migrations {
        let version = server.schema_version(set).await;
        versions.push(version.map_err(not_ready::version_unknown)?);
    }
    Ok(versions)
}

async fn usable(
    server: &Postgres,
    config: &DatabaseConfig,
    migrations: Migrations,
) -> Result<(), NotReady> {
    if config.migrate_at_start {
        server.migrate(migrations).await?;
    }
    Ok(server.check_schema(migrations).await?)
}
