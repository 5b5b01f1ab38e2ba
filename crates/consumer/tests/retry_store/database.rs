//! The databases of the contract tests, each fresh and empty.

use std::sync::Arc;
use std::time::Duration;

use consumer::retry_store::RetryStore;
use consumer::retry_store::operations::Operations;
use service::config::FromSetting;
use sql::database::{Database as Engine, DatabaseConfig};
use sql::migrations::Migrations;
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

pub(crate) const MIGRATIONS: Migrations = &[consumer::MIGRATIONS];

/// Far longer than anything here takes on a busy machine, and shorter than a lock is waited for by a test that hangs.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

const TEMPLATE_NAME: &str = "retry_store_template";

/// A database that holds nothing yet.
pub(crate) struct Database {
    pub(crate) retry_store: Arc<dyn RetryStore>,
    pub(crate) operations: Arc<dyn Operations>,
    pub(crate) engine: Engine,
    url: DatabaseUrl,
    directory: Option<Arc<TempDir>>,
}

/// Runs the rule on a fresh database of each kind.
pub(crate) async fn on_every_database(rule: impl AsyncFn(Database)) {
    rule(Database::sqlite().await).await;
    rule(Database::postgres().await).await;
}

impl Database {
    pub(crate) async fn sqlite() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let url = format!("sqlite://{}/retry_store.db", directory.path().display());
        Self::open(DatabaseUrl::from_setting(&url).unwrap(), Some(directory)).await
    }

    pub(crate) async fn postgres() -> Self {
        static TEMPLATE: OnceCell<()> = OnceCell::const_new();
        TEMPLATE.get_or_init(create_template).await;
        let url = postgres_server::shared().copy_of(TEMPLATE_NAME).unwrap();
        Self::open(DatabaseUrl::from_setting(&url).unwrap(), None).await
    }

    async fn open(url: DatabaseUrl, directory: Option<Arc<TempDir>>) -> Self {
        let engine = Engine::open(&config(&url), MIGRATIONS).await.unwrap();
        Self {
            retry_store: consumer::retry_store::database::retry_store(&engine, &TaskTracker::new()),
            operations: consumer::retry_store::database::operations(&engine),
            engine,
            url,
            directory,
        }
    }

    /// Another process on the same database, with connections of its own.
    pub(crate) async fn replica(&self) -> Self {
        Self::open(self.url.clone(), self.directory.clone()).await
    }

    /// Runs a statement past the interface.
    pub(crate) async fn execute(&self, statement: &'static str) {
        match &self.engine {
            Engine::Sqlite(file) => {
                let mut transaction = file.begin().await.unwrap();
                let done = sqlx::query(statement).execute(&mut *transaction);
                done.await.unwrap();
                transaction.commit().await.unwrap();
            }
            Engine::Postgres(server) => {
                let done = sqlx::query(statement).execute(server.pool());
                done.await.unwrap();
            }
        }
    }

    /// Blocks this many keys, one row each.
    pub(crate) async fn block_keys(&self, keys: i64) {
        let rows = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $1) \
            INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, ordering_key, headers, \
                                state, attempts, stored_at) ";
        match &self.engine {
            Engine::Sqlite(file) => {
                let mut transaction = file.begin().await.unwrap();
                let rows = format!(
                    "{rows} SELECT 'orders', 3, n, n, CAST('key ' || n AS BLOB), x'', 'DEAD', 0, 0 FROM number"
                );
                let done = sqlx::query(AssertSqlSafe(rows)).bind(keys);
                done.execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
            Engine::Postgres(server) => {
                let rows = format!(
                    "{rows} SELECT 'orders', 3, n, n, convert_to('key ' || n, 'UTF8'), '', 'DEAD', 0, 0 FROM number"
                );
                let mut transaction = server.pool().begin().await.unwrap();
                // So many rows take longer than a statement may where other tests run.
                let unlimited = sqlx::query("SET LOCAL statement_timeout = 0");
                unlimited.execute(&mut *transaction).await.unwrap();
                let done = sqlx::query(AssertSqlSafe(rows)).bind(keys);
                done.execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            }
        }
    }

    /// How many rows a sweeper has to look at.
    pub(crate) async fn rows_that_are_due(&self) -> i64 {
        let due = "SELECT count(*) FROM retry_events WHERE next_attempt_at IS NOT NULL";
        match &self.engine {
            Engine::Sqlite(file) => {
                let count = sqlx::query_scalar(due).fetch_one(file.reader());
                count.await.unwrap()
            }
            Engine::Postgres(server) => {
                let count = sqlx::query_scalar(due).fetch_one(server.pool());
                count.await.unwrap()
            }
        }
    }

    /// Everything that waits is due, also what is behind others.
    pub(crate) async fn all_is_due(&self) {
        self.execute("UPDATE retry_events SET next_attempt_at = 0 WHERE state = 'WAITING'")
            .await;
    }

    /// A connection past the interface, for a transaction that stays open.
    pub(crate) async fn stranger(&self) -> PgConnection {
        PgConnection::connect(self.url.expose()).await.unwrap()
    }

    /// Waits until this many sessions of the server wait for a lock.
    pub(crate) async fn until_waiting_for_locks(&self, sessions: i64) {
        let mut observer = self.stranger().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count = async |observer: &mut PgConnection| -> i64 {
            let count = sqlx::query_scalar(waiting).fetch_one(observer);
            count.await.unwrap()
        };
        let waited = async { while count(&mut observer).await < sessions {} };
        let in_time = tokio::time::timeout(WAIT_LIMIT, waited).await;
        in_time.expect("as many sessions wait for a lock");
    }

    /// The claims that are held end now.
    pub(crate) async fn claims_run_out(&self) {
        self.execute("UPDATE retry_events SET claimed_until = 0 WHERE claimed_until IS NOT NULL")
            .await;
    }

    /// What waits for its time has reached it.
    pub(crate) async fn time_passes(&self) {
        self.execute(
            "UPDATE retry_events SET next_attempt_at = 0 WHERE next_attempt_at IS NOT NULL",
        )
        .await;
    }
}

fn config(url: &DatabaseUrl) -> DatabaseConfig {
    DatabaseConfig {
        url: url.clone(),
        connections: 6,
        migrate_at_start: false,
        owner: Owner::new("consumer-tests", ""),
    }
}

/// A database with the schema and no rows, to be copied.
async fn create_template() {
    let server = postgres_server::shared();
    server.create_database(TEMPLATE_NAME).unwrap();
    let url = DatabaseUrl::from_setting(&server.url(TEMPLATE_NAME)).unwrap();
    sql::database::migrate(&config(&url), MIGRATIONS)
        .await
        .unwrap();
}
