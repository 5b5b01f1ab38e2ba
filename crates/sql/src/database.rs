//! The database of a service, on the engine of its URL: open, migrate, wait until ready, inspect.
//!
//! A SQLite file is created and migrated when it is opened. A PostgreSQL server is migrated by the subcommand `migrate`,
//! or at start if so configured; [`Database::ready`] waits for it.

use std::sync::Arc;
use std::time::Duration;

use crate::driver_environment;
use crate::migrations::{MigrationSet, Migrations};
use crate::owner::Owner;
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

/// Settings of the database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub url: DatabaseUrl,
    /// PostgreSQL: maximum connections of this process.
    pub connections: u32,
    /// PostgreSQL: migrate at start. A SQLite file is always migrated.
    pub migrate_at_start: bool,
    /// A database of another owner is refused.
    pub owner: Owner,
}

/// Commits, reads, the relay and the leases share the pool: with fewer connections they wait for each other.
const MIN_CONNECTIONS: u32 = 4;

/// More than a server accepts. The pool allocates a slot for each, so an absurd number would exhaust the memory.
const MAX_CONNECTIONS: u32 = 10_000;

impl DatabaseConfig {
    /// Reads the settings of the owner's database.
    pub fn read(settings: &mut Settings<'_>, default_url: &'static str, owner: Owner) -> Self {
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
            owner,
        };
        let is_valid = (MIN_CONNECTIONS..=MAX_CONNECTIONS).contains(&config.connections);
        let why = format_args!("must be {MIN_CONNECTIONS} to {MAX_CONNECTIONS}");
        settings.require(is_valid, "DATABASE_POOL", why);
        driver_environment::read(settings);
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

/// Between checks of a database that is not ready.
const READY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    cap: Duration::from_secs(5),
};

impl Database {
    /// Opens the database. A SQLite file is created and migrated; a PostgreSQL server is not contacted yet.
    ///
    /// # Errors
    /// [`OpenError`] for an unusable file or URL, and for a file of another owner.
    pub async fn open(config: &DatabaseConfig, migrations: Migrations) -> Result<Self, OpenError> {
        match config.url.engine() {
            DatabaseEngine::Sqlite => {
                let file = Sqlite::open_owned(&config.url, &config.owner, migrations).await?;
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
        while let Some(reason) = reason_to_wait(server, config, migrations, service).await? {
            if reason != logged {
                tracing::warn!(detail = reason, "waiting for the database");
                logged = reason;
            }
            attempt += 1;
            tokio::time::sleep(READY_BACKOFF.delay(attempt)).await;
        }
        Ok(())
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
        if config.url.engine() == DatabaseEngine::Sqlite {
            let file = sqlite::file(&config.url).map_err(SqliteError::from);
            let file = file.map_err(OpenError::from)?;
            if !file.exists() {
                return Err(InspectionError::Missing(file));
            }
            let opened = Sqlite::open_beside(&config.url, &config.owner, migrations).await;
            return Ok(Self::Sqlite(Arc::new(opened.map_err(OpenError::from)?)));
        }
        let database = Self::open(config, migrations).await?;
        if let Self::Postgres(server) = &database
            && let Some(reason) = unusable_yet(server, &config.owner, migrations, service).await?
        {
            return Err(InspectionError::NotReady(reason));
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

/// Migrates the schema. Returns a line per migration set, with its versions before and after.
///
/// # Errors
/// [`MigrationError`]; a failed migration is rolled back.
pub async fn migrate(
    config: &DatabaseConfig,
    migrations: Migrations,
) -> Result<String, MigrationError> {
    let database = Database::open(config, migrations).await?;
    let migrated = migrate_sets(&database, &config.owner, migrations).await;
    database.close().await;
    Ok(migrated?.join("\n"))
}

async fn migrate_sets(
    database: &Database,
    owner: &Owner,
    migrations: Migrations,
) -> Result<Vec<String>, MigrationError> {
    if let Database::Postgres(server) = database {
        let checked = server.check_pooling().await;
        checked.map_err(not_ready::no_session_to_migrate)?;
    }
    let before = versions(database, migrations).await?;
    // Opening a SQLite file has migrated it.
    if let Database::Postgres(server) = database {
        migrate_owned(server, owner, migrations).await?;
    }
    let after = versions(database, migrations).await?;
    let versions = before.into_iter().zip(after);
    let line = |(set, (from, to)): (&MigrationSet, (i64, i64))| match set.owner {
        owner if from == to => format!("{owner} schema: already at version {to}"),
        owner => format!("{owner} schema: migrated from version {from} to {to}"),
    };
    Ok(migrations.iter().zip(versions).map(line).collect())
}

async fn versions(database: &Database, sets: Migrations) -> Result<Vec<i64>, MigrationError> {
    let Database::Postgres(server) = database else {
        return Ok(sets.iter().map(MigrationSet::last_version).collect());
    };
    let mut versions = Vec::new();
    for set in sets {
        let version = server.schema_version(set).await;
        versions.push(version.map_err(not_ready::version_unknown)?);
    }
    Ok(versions)
}

async fn reason_to_wait(
    server: &Postgres,
    config: &DatabaseConfig,
    migrations: Migrations,
    service: &str,
) -> Result<Option<String>, UnusableError> {
    // Before the migration, whose lock belongs to a session.
    if let Err(error) = server.check_pooling().await {
        return not_ready::no_session(error).map(Some);
    }
    if config.migrate_at_start
        && let Err(error) = migrate_owned(server, &config.owner, migrations).await
    {
        return not_ready::not_migrated(error).map(Some);
    }
    check(server, &config.owner, migrations, service).await
}

/// Migrates a database that belongs to this owner, or to none yet.
async fn migrate_owned(
    server: &Postgres,
    owner: &Owner,
    migrations: Migrations,
) -> Result<(), MigrationError> {
    let recorded = server.claim(owner).await;
    let recorded = recorded.map_err(MigrationError::Migrate)?;
    owner.require(recorded).map_err(UnusableError::Owner)?;
    let migrated = server.migrate(migrations).await;
    migrated.map_err(MigrationError::Migrate)
}

/// Why an operator command cannot use the database yet, if so.
async fn unusable_yet(
    server: &Postgres,
    owner: &Owner,
    migrations: Migrations,
    service: &str,
) -> Result<Option<String>, UnusableError> {
    match server.check_pooling().await {
        Err(error) => not_ready::no_session(error).map(Some),
        Ok(()) => check(server, owner, migrations, service).await,
    }
}

/// Why the database cannot be used yet, by its owner and its schema.
async fn check(
    server: &Postgres,
    owner: &Owner,
    migrations: Migrations,
    service: &str,
) -> Result<Option<String>, UnusableError> {
    let recorded = match server.owner().await {
        Ok(recorded) => recorded,
        Err(error) => return not_ready::unreachable(error).map(Some),
    };
    let has_owner = recorded.is_some();
    if let Some(recorded) = recorded {
        owner.require(recorded)?;
    }
    match server.check_schema(migrations).await {
        Err(error) => not_ready::old_schema(error, service).map(Some),
        Ok(()) if has_owner => Ok(None),
        Ok(()) => Ok(Some(format!(
            "the database has no owner yet: run `{service} migrate`"
        ))),
    }
}
