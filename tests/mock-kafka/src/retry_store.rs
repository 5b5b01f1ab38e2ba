//! The retry store of a test: a real database that can become unreachable.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::MIGRATIONS;
use async_trait::async_trait;
use consumer::retry_store::{
    Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, SessionStart, Settlement,
    TopicPartition,
};
use kafka::record::Record;
use service::config::FromSetting;
use sql::database::{Database, DatabaseConfig, migrate};
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use sqlx::FromRow;
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const ROWS: &str = "
SELECT key, payload, state, fault_class, fault_message, attempts, rounds FROM retry_events ORDER BY id";

/// More than any test stores concurrently.
pub const MAX_STORES: usize = 1_000;

/// A row of `retry_events`.
#[derive(Debug, FromRow)]
pub struct RetryEventRow {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    pub state: String,
    pub fault_class: Option<String>,
    pub fault_message: Option<String>,
    pub attempts: i64,
    pub rounds: i64,
}

impl RetryEventRow {
    pub fn key(&self) -> String {
        text(self.key.as_deref())
    }

    pub fn payload(&self) -> String {
        text(self.payload.as_deref())
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// Opened on first use.
pub struct TestRetryStore {
    url: OnceCell<DatabaseUrl>,
    database: OnceCell<(Database, Arc<dyn RetryStore>)>,
    _directory: TempDir,
    away: AtomicBool,
    /// The call that panics.
    panics_in: Mutex<Option<&'static str>>,
    /// Calls made while it was unreachable.
    turned_away: AtomicU32,
    /// A permit per `store` call; a test takes them to block those calls.
    pub stores: Semaphore,
    asked_to_store: AtomicU32,
    after_a_crash: AtomicBool,
    begun: Mutex<Vec<i32>>,
    ended: Mutex<Vec<i32>>,
}

impl TestRetryStore {
    pub fn sqlite() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let url = sqlite_url(&directory);
        Arc::new(Self::new(OnceCell::new_with(Some(url)), directory))
    }

    /// On PostgreSQL, in its own database on the shared server.
    pub fn postgres() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        Arc::new(Self::new(OnceCell::new(), directory))
    }

    /// On a database created by another process.
    pub fn at(url: &str) -> Arc<Self> {
        let url = DatabaseUrl::from_setting(url).unwrap();
        let directory = tempfile::tempdir().unwrap();
        Arc::new(Self::new(OnceCell::new_with(Some(url)), directory))
    }

    fn new(url: OnceCell<DatabaseUrl>, directory: TempDir) -> Self {
        Self {
            url,
            database: OnceCell::new(),
            _directory: directory,
            away: AtomicBool::new(false),
            panics_in: Mutex::default(),
            turned_away: AtomicU32::new(0),
            stores: Semaphore::new(MAX_STORES),
            asked_to_store: AtomicU32::new(0),
            after_a_crash: AtomicBool::new(false),
            begun: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    pub fn go_away(&self) {
        self.away.store(true, Ordering::Release);
    }

    pub fn come_back(&self) {
        self.away.store(false, Ordering::Release);
    }

    /// From now on `begin_session` or `store` panics, as a defect of the consumer would.
    pub fn panic_in(&self, call: &'static str) {
        *self.panics_in.lock().unwrap() = Some(call);
    }

    fn may_panic(&self, call: &str) {
        let panics_in = *self.panics_in.lock().unwrap();
        assert!(panics_in != Some(call), "the test lets {call} panic");
    }

    pub fn times_turned_away(&self) -> u32 {
        self.turned_away.load(Ordering::Acquire)
    }

    pub fn times_asked_to_store(&self) -> u32 {
        self.asked_to_store.load(Ordering::Acquire)
    }

    /// Whether any session began after a crash.
    pub fn has_begun_after_a_crash(&self) -> bool {
        self.after_a_crash.load(Ordering::Acquire)
    }

    /// Number of sessions of a partition begun so far.
    pub fn times_begun(&self, partition: i32) -> usize {
        count(&self.begun, partition)
    }

    /// Number of sessions of a partition ended cleanly so far.
    pub fn times_ended(&self, partition: i32) -> usize {
        count(&self.ended, partition)
    }

    /// The URL for another process.
    pub async fn url(&self) -> String {
        self.open().await;
        self.url.get().unwrap().expose().to_owned()
    }

    pub async fn rows(&self) -> Vec<RetryEventRow> {
        match &self.open().await.0 {
            Database::Sqlite(file) => sqlx::query_as(ROWS).fetch_all(file.reader()).await,
            Database::Postgres(server) => sqlx::query_as(ROWS).fetch_all(server.pool()).await,
        }
        .unwrap()
    }

    /// Payload and state of each row, in order.
    pub async fn stored(&self) -> Vec<(String, String)> {
        let rows = self.rows().await.into_iter();
        rows.map(|row| (row.payload(), row.state)).collect()
    }

    /// Makes all waiting events due.
    pub async fn time_passes(&self) {
        self.execute(
            "UPDATE retry_events SET next_attempt_at = 0 WHERE next_attempt_at IS NOT NULL",
        )
        .await;
    }

    /// Makes the waiting events due for their last round.
    pub async fn begin_last_round(&self) {
        self.execute(
            "UPDATE retry_events SET rounds = 2, next_attempt_at = 0 WHERE state = 'WAITING'",
        )
        .await;
    }

    /// An operator redrives every dead event.
    pub async fn redrive(&self) {
        self.execute(
            "UPDATE retry_events SET state = 'WAITING', next_attempt_at = 0, rounds = 0, redrives = redrives + 1
             WHERE state = 'DEAD'",
        )
        .await;
    }

    /// An operator skips every dead event, so that the next of its key is due.
    pub async fn skip(&self) {
        self.execute("UPDATE retry_events SET state = 'SKIPPED' WHERE state = 'DEAD'")
            .await;
        self.execute("UPDATE retry_events SET next_attempt_at = 0 WHERE state = 'WAITING'")
            .await;
    }

    async fn execute(&self, statement: &'static str) {
        match &self.open().await.0 {
            Database::Sqlite(file) => {
                let mut transaction = file.begin().await.unwrap();
                let done = sqlx::query(statement).execute(&mut *transaction);
                done.await.unwrap();
                transaction.commit().await.unwrap();
            }
            Database::Postgres(server) => {
                let done = sqlx::query(statement).execute(server.pool());
                done.await.unwrap();
            }
        }
    }

    async fn open(&self) -> &(Database, Arc<dyn RetryStore>) {
        let open = async || {
            let config = config(self.url.get_or_init(create_on_server).await);
            migrate(&config, MIGRATIONS).await.unwrap();
            let database = Database::open(&config, MIGRATIONS).await.unwrap();
            let retry_store =
                consumer::retry_store::database::retry_store(&database, &TaskTracker::new());
            (database, retry_store)
        };
        self.database.get_or_init(open).await
    }

    /// The real store; an error while it is unreachable.
    async fn real(&self) -> Result<&dyn RetryStore, RetryStoreError> {
        if self.away.load(Ordering::Acquire) {
            self.turned_away.fetch_add(1, Ordering::AcqRel);
            return Err(RetryStoreError::Database(sqlx::Error::PoolTimedOut));
        }
        Ok(self.open().await.1.as_ref())
    }
}

fn count(partitions: &Mutex<Vec<i32>>, partition: i32) -> usize {
    let partitions = partitions.lock().unwrap();
    partitions.iter().filter(|p| **p == partition).count()
}

fn sqlite_url(directory: &TempDir) -> DatabaseUrl {
    let url = format!("sqlite://{}/retry_store.db", directory.path().display());
    DatabaseUrl::from_setting(&url).unwrap()
}

async fn create_on_server() -> DatabaseUrl {
    let name = format!("retry_store_{}", Uuid::new_v4().simple());
    let server = postgres_server::shared();
    server.create_database(&name).unwrap();
    DatabaseUrl::from_setting(&server.url(&name)).unwrap()
}

fn config(url: &DatabaseUrl) -> DatabaseConfig {
    DatabaseConfig {
        url: url.clone(),
        connections: 6,
        migrate_at_start: false,
        owner: Owner::new("consumer-tests", ""),
    }
}

#[async_trait]
impl RetryStore for TestRetryStore {
    async fn begin_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<SessionStart, RetryStoreError> {
        self.may_panic("begin_session");
        let start = self.real().await?.begin_session(partition, owner).await?;
        if start.after_a_crash {
            self.after_a_crash.store(true, Ordering::Release);
        }
        self.begun.lock().unwrap().push(partition.partition);
        Ok(start)
    }

    async fn end_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<(), RetryStoreError> {
        let ended = self.real().await?.end_session(partition, owner).await;
        self.ended.lock().unwrap().push(partition.partition);
        ended
    }

    async fn count_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        self.real().await?.count_attempt(record).await
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        self.real().await?.forget_attempts(record).await
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        self.may_panic("store");
        self.asked_to_store.fetch_add(1, Ordering::AcqRel);
        let _turn = self.stores.acquire().await.unwrap();
        self.real().await?.store(record, fault, state).await
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        self.real().await?.store_behind(record).await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        let real = self.real().await?;
        real.claim(topic, claimant, limit, term).await
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        let real = self.real().await?;
        real.settle(id, claimant, settlement).await
    }
}
