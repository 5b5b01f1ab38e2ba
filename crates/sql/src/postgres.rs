//! PostgreSQL: a durable database that several replicas of a service share.
//!
//! Guarantees: every wait has a timeout. Acquiring a connection times out after [`ACQUIRE_TIMEOUT`]; the server cancels a
//! statement after `statement_timeout` or at the deadline of its call ([`Postgres::read`]); an operation without any
//! response (a half-open connection) times out after `OPERATION_TIMEOUT`. Conflicts between transactions are retried
//! ([`crate::operation`]).

use std::ops::DerefMut;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use crate::error::code;
use crate::migrations::{MigrationSet, Migrations};
use crate::operation::bounded;
use crate::statements::{Statement, Statements};
use crate::url::DatabaseUrl;
use service::deadline::Deadline;
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::Labels;

mod owner;

/// A connection for reads. Dropping one with its own `statement_timeout` rolls back, a no-op for reads.
pub type ReadConnection = Box<dyn DerefMut<Target = PgConnection> + Send>;

/// Timeout for a connection of the pool: the database is down or the pool is exhausted, and in both cases a longer wait
/// only grows the queue.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits that the server enforces in every session of the pool.
const SESSION: [(&str, &str); 3] = [
    // [`STATEMENT_TIMEOUT`]: longer than any statement here takes on a healthy server.
    ("statement_timeout", "5s"),
    // Shorter than statement_timeout: distinguishes a lock wait from a slow statement.
    ("lock_timeout", "2s"),
    // Releases the row locks of a process that hangs in a transaction.
    ("idle_in_transaction_session_timeout", "10s"),
];

const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// At a deadline the server times out later than the caller, so that the caller reports its own deadline and not a server
/// error.
const SERVER_MARGIN: Duration = Duration::from_millis(5);

/// A migration has no statement timeout, but must not block all traffic behind a lock that it waits for.
const MIGRATION_SESSION: [(&str, &str); 1] = [("lock_timeout", "5s")];

/// Attempts of a migration that waits for a lock or for the migration of another replica: 5 minutes in total.
const MIGRATION_ATTEMPTS: u32 = 60;

/// Minimum idle time before a connection is tested: the server may have been restarted.
const TEST_AFTER: Duration = Duration::from_secs(1);

/// SQLSTATE of a lock timeout.
const LOCK_NOT_AVAILABLE: &str = "55P03";

#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    options: PgConnectOptions,
    statements: Statements,
}

/// The schema does not meet the needs of this release, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("reading the version of the schema")]
    Database(#[from] sqlx::Error),
    #[error("the {owner} schema is at version {found}, this release needs {needed}")]
    Old {
        owner: &'static str,
        /// The last applied version, 0 for none.
        found: i64,
        /// The last version of this release.
        needed: i64,
    },
}

impl Postgres {
    /// A pool of at most `connections`, each opened at its first use.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn new(url: &DatabaseUrl, connections: u32) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url.expose())?;
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A ping per use would double the cost of a small read; only idle connections are tested, below.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for >= TEST_AFTER {
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

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Runs a read: observed as `statement`, bounded, and cancelled by the server at the deadline.
    pub async fn read<T, F>(
        &self,
        statement: &Statement,
        deadline: Deadline,
        read: impl FnOnce(ReadConnection) -> F,
    ) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let read = bounded(async { read(self.read_connection(deadline).await?).await });
        statement.run(Box::pin(read)).await
    }

    /// A read that only the client cancels keeps running at the server, and occupies its connection, until
    /// `statement_timeout`. If the deadline is earlier, the read runs in a transaction with its own `statement_timeout`.
    /// That costs one round trip, and the setting ends with the transaction.
    async fn read_connection(&self, deadline: Deadline) -> Result<ReadConnection, sqlx::Error> {
        match deadline.remaining() {
            Some(remaining) if remaining < STATEMENT_TIMEOUT => {
                let limit = (remaining + SERVER_MARGIN).as_millis();
                let begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}");
                let transaction = self.pool.begin_with(sqlx::AssertSqlSafe(begin)).await?;
                Ok(Box::new(transaction))
            }
            _ => Ok(Box::new(self.pool.acquire().await?)),
        }
    }

    /// Applies the missing migrations. Concurrent replicas wait for each other.
    ///
    /// # Errors
    /// [`MigrateError`] when the database is unreachable or a migration fails; the failed one is rolled back.
    pub async fn migrate(&self, migrations: Migrations) -> Result<(), MigrateError> {
        for set in migrations {
            self.migrate_set(set).await?;
        }
        Ok(())
    }

    async fn migrate_set(&self, set: &MigrationSet) -> Result<(), MigrateError> {
        let mut connection = self.connect(&MIGRATION_SESSION).await?;
        let migrator = set.tolerant(set.postgres);
        for attempt in 1..MIGRATION_ATTEMPTS {
            match migrator.run_direct(None, &mut connection, false).await {
                Err(error) if is_lock_timeout(&error) => {
                    tracing::info!(attempt, "migration waits for a lock");
                }
                done => return done,
            }
        }
        migrator.run_direct(None, &mut connection, false).await
    }

    /// Verifies that all migrations of this release are applied. A newer schema passes: migrations are additive while
    /// replicas of the older release run.
    ///
    /// # Errors
    /// [`SchemaError`]; also for a wrong password and an unknown database.
    pub async fn check_schema(&self, migrations: Migrations) -> Result<(), SchemaError> {
        for set in migrations {
            let needed = set.last_version();
            let found = self.schema_version(set).await?;
            let owner = set.owner;
            if found < needed {
                return Err(SchemaError::Old {
                    owner,
                    found,
                    needed,
                });
            }
        }
        Ok(())
    }

    /// The last applied version, 0 for none.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn schema_version(&self, set: &MigrationSet) -> Result<i64, sqlx::Error> {
        let table = set.version_table();
        // Not from the pool, whose errors hide the reason of a failed connection attempt.
        let mut connection = self.connect(&SESSION).await?;
        let is_migrated: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&table)
            .fetch_one(&mut connection)
            .await?;
        if !is_migrated {
            return Ok(0);
        }
        let applied = format!("SELECT coalesce(max(version), 0) FROM {table} WHERE success");
        // Safe: the table name is derived from the name of a crate.
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

    /// Registers the metrics of the connection pool.
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
    // Not read atomically: a connection can become idle in between.
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

#[cfg(test)]
mod tests;
