//! PostgreSQL as a durable store that several replicas of a service share.
//!
//! Guarantees: no call waits without bound. A connection is waited for [`ACQUIRE_TIMEOUT`], a statement is ended by the
//! server after `statement_timeout` or the deadline of its call ([`Postgres::reading`]), and an operation that hears nothing at all (a half-open connection) is given up
//! after [`OPERATION_TIMEOUT`]. Conflicts between replicas, which a repetition solves, are repeated here.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use crate::database::instrumentation::Statements;
use crate::migrations::{MigrationSet, Migrations};
use crate::url::DatabaseUrl;
use service::backoff::Backoff;
use service::deadline::Deadline;
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::Labels;

mod reading;

pub use reading::Reading;

/// A call that gets no connection within this time fails: either the database is away or the pool is exhausted, and in
/// both cases waiting longer only adds to the queue.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Longer than any statement may take by the server's own timeout.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(7);

/// Longer than any statement here takes on a healthy server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits that the server keeps for every session of the pool.
const SESSION: [(&str, &str); 3] = [
    // That of STATEMENT_TIMEOUT.
    ("statement_timeout", "5s"),
    // Shorter than the statement's: a lock held too long is told apart from a slow statement.
    ("lock_timeout", "2s"),
    // A process that froze in a transaction does not keep its row locks.
    ("idle_in_transaction_session_timeout", "10s"),
];

/// A migration may take long, but must not queue all traffic behind a lock that it waits for.
const MIGRATION_SESSION: [(&str, &str); 1] = [("lock_timeout", "5s")];

/// A migration that waits for another replica's, or for a lock, is tried again: five minutes in all.
const MIGRATION_ATTEMPTS: u32 = 60;

/// A connection that has rested this long is tested before it is used: the server may have been restarted.
const TEST_AFTER: Duration = Duration::from_secs(1);

/// Conflicts are rare and short: a few repetitions, quickly.
const CONFLICT_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(5),
    cap: Duration::from_millis(100),
};
const CONFLICT_ATTEMPTS: u32 = 8;

/// SQLSTATE of a lock that was waited for too long.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// SQLSTATE codes: serialization failure and deadlock.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];

/// A pool of connections to one database.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    options: PgConnectOptions,
    statements: Statements,
}

/// Why a schema is not as this release needs it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database does not answer.
    #[error("reading the version of the schema")]
    Database(#[from] sqlx::Error),
    /// Migrations are missing.
    #[error("the {owner} schema is at version {found}, this release needs {needed}")]
    Old {
        /// The crate that owns the tables.
        owner: &'static str,
        /// The last migration that was applied, 0 if there is none.
        found: i64,
        /// The last migration that this release knows.
        needed: i64,
    },
}

impl Postgres {
    /// A pool of at most `connections`, none of which is opened before it is needed.
    ///
    /// # Errors
    /// When the URL cannot be understood.
    pub fn new(url: &DatabaseUrl, connections: u32) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url.expose())?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A ping per use would double the cost of a small read; see below for the connections that need it.
            .test_before_acquire(false)
            .before_acquire(|connection, rested| {
                Box::pin(async move {
                    if rested.idle_for >= TEST_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone().options(SESSION));
        Ok(Self {
            pool,
            statements: Statements::of_postgres(&options),
            options,
        })
    }

    /// The pool.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What observes its statements.
    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// A connection for reading, whose statements end with the deadline, at the server, too.
    ///
    /// # Errors
    /// When no connection can be had in time.
    pub async fn reading(&self, deadline: Deadline) -> Result<Reading, sqlx::Error> {
        Reading::begin(&self.pool, deadline).await
    }

    /// Applies the migrations that are missing. Replicas that do this at once wait for each other.
    ///
    /// # Errors
    /// [`MigrateError`] when the database cannot be reached or a migration fails; what it began is rolled back.
    pub async fn migrate(&self, migrations: Migrations) -> Result<(), MigrateError> {
        for set in migrations {
            self.migrate_set(set).await?;
        }
        Ok(())
    }

    async fn migrate_set(&self, set: &MigrationSet) -> Result<(), MigrateError> {
        let mut connection = self.connect(&MIGRATION_SESSION).await?;
        let migrator = set.for_postgres();
        for attempt in 1..MIGRATION_ATTEMPTS {
            match migrator.run_direct(None, &mut connection, false).await {
                Err(error) if is_lock_timeout(&error) => {
                    tracing::info!(attempt, "the migration waits for a lock");
                }
                done => return done,
            }
        }
        migrator.run_direct(None, &mut connection, false).await
    }

    /// Whether the schema has everything that this release needs. A newer one has: migrations only add until no
    /// replica of the older release is left.
    ///
    /// # Errors
    /// [`SchemaError`]; a wrong password and an unknown database show here.
    pub async fn check_schema(&self, migrations: Migrations) -> Result<(), SchemaError> {
        for set in migrations {
            let needed = set.last_version();
            let found = self.schema_version(set).await?;
            if found < needed {
                let owner = set.owner;
                return Err(SchemaError::Old {
                    owner,
                    found,
                    needed,
                });
            }
        }
        Ok(())
    }

    /// The last migration that was applied, 0 if there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema_version(&self, set: &MigrationSet) -> Result<i64, sqlx::Error> {
        let table = set.version_table();
        // Not from the pool: its errors hide why it has no connection.
        let mut connection = self.connect(&SESSION).await?;
        let is_migrated: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&table)
            .fetch_one(&mut connection)
            .await?;
        if !is_migrated {
            return Ok(0);
        }
        let applied = format!("SELECT coalesce(max(version), 0) FROM {table} WHERE success");
        // The name of the table is made of the name of a crate.
        sqlx::query_scalar(sqlx::AssertSqlSafe(applied))
            .fetch_one(&mut connection)
            .await
    }

    async fn connect(
        &self,
        session: &[(&'static str, &'static str)],
    ) -> Result<PgConnection, sqlx::Error> {
        let options = self.options.clone().options(session.iter().copied());
        bounded(options.connect()).await
    }

    /// Shows the pool's connections, under the names of the semantic conventions for databases.
    pub fn observe(&self) {
        let pool = self.pool.clone();
        let database = Arc::from(self.options.get_database().unwrap_or("default"));
        let name = attributes::DB_CLIENT_CONNECTION_POOL_NAME.known(&database);
        let of_pool = Labels::of([name]);
        let max = (
            u64::from(pool.options().get_max_connections()),
            of_pool.clone(),
        );
        metrics::DB_CLIENT_CONNECTION_MAX.observe(move || [max.clone()]);
        metrics::DB_CLIENT_CONNECTION_COUNT.observe(move || {
            by_state(&pool).map(|(state, connections)| {
                let state = attributes::DB_CLIENT_CONNECTION_STATE.label(state);
                (connections, of_pool.and(state))
            })
        });
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn by_state(pool: &PgPool) -> [(&'static str, u64); 2] {
    let idle = pool.num_idle() as u64;
    // Read one after the other: in between a connection may have become idle.
    let used = u64::from(pool.size()).saturating_sub(idle);
    [("idle", idle), ("used", used)]
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let source = match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source,
        _ => return false,
    };
    code(source).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Runs an operation, and again while PostgreSQL reports a conflict with another transaction. The operation must be one
/// transaction, or a single statement.
///
/// # Errors
/// As the operation; the conflict itself when it does not end. An operation that hears nothing from the server fails
/// with a timeout, and whether it took place is unknown.
pub async fn retry_conflicts<T, F>(mut operation: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    for attempt in 1..CONFLICT_ATTEMPTS {
        match bounded(operation()).await {
            Err(error) if is_conflict(&error) => {
                tracing::debug!(attempt, error = %error, "transaction conflict, repeated");
                tokio::time::sleep(CONFLICT_BACKOFF.delay(attempt)).await;
            }
            done => return done,
        }
    }
    bounded(operation()).await
}

/// Gives an operation up when the server says nothing at all.
pub async fn bounded<T>(
    operation: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = tokio::time::timeout(OPERATION_TIMEOUT, operation).await;
    done.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

fn is_conflict(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| CONFLICTS.contains(&code.as_ref()))
}

/// The SQLSTATE of an error that the server reported.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

#[cfg(test)]
mod tests;
