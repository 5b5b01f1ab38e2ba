//! The database of a service, whichever engine its URL names: opened, brought up to date, and waited for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::migrations::{MigrationSet, Migrations};
use crate::postgres::Postgres;
use crate::sqlite::{self, OpenError as SqliteError, Sqlite};
use crate::url::{DatabaseEngine, DatabaseUrl};
use service::backoff::Backoff;
use service::command_line::Command;
use service::config::{ConfigError, Settings};

mod error;
mod not_ready;

pub mod instrumentation;

pub use error::{InspectionError, MigrationError, OpenError, UnusableError};

use instrumentation::Statements;
use not_ready::NotReady;

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
const MIN_CONNECTIONS: u32 = 4;

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
    /// A file of this process.
    Sqlite(Arc<Sqlite>),
    /// A server that replicas share.
    Postgres(Arc<Postgres>),
}

/// The versions of a schema before and after a migration, one entry per set.
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
                write!(f, "at version {to} already")?;
            } else {
                write!(f, "migrated from version {from} to {to}")?;
            }
            separator = "\n";
        }
        Ok(())
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
                let file = Sqlite::open(&config.url, migrations).await?;
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
            let Err(not_ready) = usable(server, config, migrations).await else {
                return Ok(());
            };
            let not_ready = not_ready.lasting()?.advice(service);
            if not_ready != told {
                tracing::warn!(detail = not_ready, "waiting for the database");
                told = not_ready;
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
            let not_ready = NotReady::from(not_ready).lasting()?;
            return Err(InspectionError::NotReady(not_ready.advice(service)));
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

/// The subcommand `migrate`.
pub fn command(
    config: impl FnOnce() -> Result<DatabaseConfig, ConfigError> + 'static,
    migrations: Migrations,
) -> Command {
    let about = "Bring the database schema up to date and end";
    Command::new("migrate", about, async move || {
        println!("{}", migrate(&config()?, migrations).await?);
        Ok(())
    })
}

/// Brings the schema up to date.
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
        versions.push(version.map_err(MigrationError::reading_version)?);
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
