//! PostgreSQL: a durable database that several replicas of a service share.
//!
//! Guarantees: every wait has a timeout. Acquiring a connection times out after [`ACQUIRE_TIMEOUT`]; the server cancels a
//! statement after `statement_timeout` or at the deadline of its call ([`Postgres::read`]); an operation without any
//! response (a half-open connection) times out after `OPERATION_TIMEOUT`. Conflicts between transactions are retried
//! ([`crate::operation`]). A session is used only while its server accepts writes (`check`).

use std::ops::DerefMut;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row as _};

use crate::error::code;
use crate::migrations::{MigrationSet, Migrations};
use crate::operation::bounded;
use crate::sessions::Sessions;
use crate::statements::{Statement, Statements};
use crate::url::DatabaseUrl;
use service::deadline::Deadline;
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::Labels;

mod check;
mod owner;

use check::Purpose;

/// A connection for reads. Dropping one with its own `statement_timeout` rolls back, a no-op for reads.
pub type ReadConnection = Box<dyn DerefMut<Target = PgConnection> + Send>;

/// Timeout for a connection of the pool: the database is down or the pool is exhausted, and in both cases a longer wait
/// only grows the queue.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// `statement_timeout` of every session of the pool.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// At a deadline the server times out later than the caller, so that the caller reports its own deadline and not a server
/// error.
const SERVER_MARGIN: Duration = Duration::from_millis(5);

/// Attempts of a migration that waits for a lock or for the migration of another replica: 5 minutes in total.
const MIGRATION_ATTEMPTS: u32 = 60;

/// Rounds of the check for shared sessions. A pooler in transaction mode lends the connection that it used last, unless
/// another client takes it in between.
const POOLING_ROUNDS: u32 = 5;

/// SQLSTATE of a lock timeout.
const LOCK_NOT_AVAILABLE: &str = "55P03";

#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    options: PgConnectOptions,
    sessions: Sessions,
    statements: Statements,
}

/// The server, or the pooler before it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PoolingError {
    #[error("checking the sessions")]
    Database(#[from] sqlx::Error),
    /// Timeouts, prepared statements and the lock of a migration belong to a session.
    #[error("a connection pooler gives each transaction another session")]
    SharedSessions,
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
        let options = PgConnectOptions::from_str(url.expose())?
            // PgBouncer refuses this start-up parameter. Since PostgreSQL 12 the default loses no digit.
            .extra_float_digits(None);
        let sessions = Sessions::default();
        let (new, idle) = (sessions.clone(), sessions.clone());
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A ping per use would double the cost of a small read; `check` asks less often.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let sessions = new.clone();
                Box::pin(async move {
                    check::prepare_pooled(&sessions, connection, ACQUIRE_TIMEOUT).await
                })
            })
            .before_acquire(move |connection, session| {
                let sessions = idle.clone();
                Box::pin(async move { check::is_usable(&sessions, connection, session).await })
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            statements: Statements::of_postgres(&options, sessions.clone()),
            sessions,
            options,
        })
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    #[cfg(test)]
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
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
        let mut connection = self.connect(Purpose::Migration).await?;
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
        let mut connection = self.connect(Purpose::Pooled).await?;
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

    /// Verifies that a session stays on one connection to the server, as it does without a pooler and in PgBouncer's session
    /// mode. In its transaction and statement modes two sessions use the same connection one after the other.
    ///
    /// # Errors
    /// [`PoolingError`].
    pub async fn check_pooling(&self) -> Result<(), PoolingError> {
        let mut one = bounded(self.options.connect()).await?;
        let mut other = bounded(self.options.connect()).await?;
        let own = backend(&mut one).await?;
        for _ in 0..POOLING_ROUNDS {
            let (of_other, of_one) = (backend(&mut other).await?, backend(&mut one).await?);
            if of_other == own || of_one != own {
                return Err(PoolingError::SharedSessions);
            }
        }
        Ok(())
    }

    /// A connection beside the pool.
    async fn connect(&self, purpose: Purpose) -> Result<PgConnection, sqlx::Error> {
        bounded(async {
            let mut connection = self.options.connect().await?;
            check::prepare(&self.sessions, &mut connection, purpose).await?;
            Ok(connection)
        })
        .await
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

/// The process of the server that serves this session. Not as a prepared statement, which a pooler may not support.
async fn backend(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let select = sqlx::raw_sql("SELECT pg_backend_pid()::text");
    bounded(async { select.fetch_one(connection).await?.try_get(0) }).await
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
