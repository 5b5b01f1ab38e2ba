//! The database of parked events, as a test sees it: real, with verbs, and able to go away.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::MIGRATIONS;
use async_trait::async_trait;
use consumer::retry_store::{
    Beginning, Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, Settlement,
    Source,
};
use kafka::record::Record;
use service::config::FromSetting;
use sql::database::{Database, DatabaseConfig, migrate};
use sql::url::DatabaseUrl;
use sqlx::FromRow;
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};
use uuid::Uuid;

const PARKED: &str = "
SELECT key, payload, state, fault_class, fault_message, attempts, rounds FROM retry_events ORDER BY id";

/// More than any test parks at once.
pub const ALL_PARKS: usize = 1_000;

/// A parked event.
#[derive(Debug, FromRow)]
pub struct Row {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    pub state: String,
    pub fault_class: Option<String>,
    pub fault_message: Option<String>,
    pub attempts: i64,
    pub rounds: i64,
}

impl Row {
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

/// Where events are parked. It is opened when it is first needed.
pub struct TestRetryStore {
    url: OnceCell<DatabaseUrl>,
    database: OnceCell<(Database, Arc<dyn RetryStore>)>,
    /// Goes with the test.
    _directory: TempDir,
    away: AtomicBool,
    /// Calls made while it was away.
    turned_away: AtomicU32,
    /// Held by whoever parks, and taken by a test that holds them up.
    pub stores: Semaphore,
    asked_to_store: AtomicU32,
    after_a_crash: AtomicBool,
    begun: Mutex<Vec<i32>>,
    ended: Mutex<Vec<i32>>,
}

impl TestRetryStore {
    /// In a file.
    pub fn sqlite() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let url = sqlite_url(&directory);
        Arc::new(Self::new(OnceCell::new_with(Some(url)), directory))
    }

    /// In a database of its own on the shared server.
    pub fn postgres() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        Arc::new(Self::new(OnceCell::new(), directory))
    }

    /// In a database that another process has made.
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
            turned_away: AtomicU32::new(0),
            stores: Semaphore::new(ALL_PARKS),
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

    pub fn times_turned_away(&self) -> u32 {
        self.turned_away.load(Ordering::Acquire)
    }

    pub fn times_asked_to_store(&self) -> u32 {
        self.asked_to_store.load(Ordering::Acquire)
    }

    /// Whether work on any partition was begun after somebody had not ended in order.
    pub fn has_begun_after_a_crash(&self) -> bool {
        self.after_a_crash.load(Ordering::Acquire)
    }

    /// How often work on a partition was begun.
    pub fn times_begun(&self, partition: i32) -> usize {
        count(&self.begun, partition)
    }

    /// How often it was ended in order.
    pub fn times_ended(&self, partition: i32) -> usize {
        count(&self.ended, partition)
    }

    /// What another process has to open.
    pub async fn url(&self) -> String {
        self.open().await;
        self.url.get().unwrap().expose().to_owned()
    }

    pub async fn rows(&self) -> Vec<Row> {
        match &self.open().await.0 {
            Database::Sqlite(file) => sqlx::query_as(PARKED).fetch_all(file.reader()).await,
            Database::Postgres(server) => sqlx::query_as(PARKED).fetch_all(server.pool()).await,
        }
        .unwrap()
    }

    /// Payload and state of each parked event, in order.
    pub async fn stored(&self) -> Vec<(String, String)> {
        let rows = self.rows().await.into_iter();
        rows.map(|row| (row.payload(), row.state)).collect()
    }

    /// What waits for its time has reached it.
    pub async fn time_passes(&self) {
        self.execute(
            "UPDATE retry_events SET next_attempt_at = 0 WHERE next_attempt_at IS NOT NULL",
        )
        .await;
    }

    /// All rounds of what waits have failed but one, whose time has come.
    pub async fn begin_last_round(&self) {
        self.execute(
            "UPDATE retry_events SET rounds = 2, next_attempt_at = 0 WHERE state = 'WAITING'",
        )
        .await;
    }

    /// An operator lets every dead event be handled again.
    pub async fn redrive(&self) {
        self.execute(
            "UPDATE retry_events SET state = 'WAITING', next_attempt_at = 0, rounds = 0, redrives = redrives + 1
             WHERE state = 'DEAD'",
        )
        .await;
    }

    /// An operator gives every dead event up, so that what is behind it is due.
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
            let retry_store = consumer::retry_store::database::retry_store(&database);
            (database, retry_store)
        };
        self.database.get_or_init(open).await
    }

    /// The real one, unless it is away.
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
    let url = format!("sqlite://{}/parking.db", directory.path().display());
    DatabaseUrl::from_setting(&url).unwrap()
}

async fn create_on_server() -> DatabaseUrl {
    let name = format!("parking_{}", Uuid::new_v4().simple());
    let server = postgres_server::shared();
    server.create_database(&name).unwrap();
    DatabaseUrl::from_setting(&server.url(&name)).unwrap()
}

fn config(url: &DatabaseUrl) -> DatabaseConfig {
    DatabaseConfig {
        url: url.clone(),
        connections: 6,
        migrate_at_start: false,
    }
}

#[async_trait]
impl RetryStore for TestRetryStore {
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, RetryStoreError> {
        let beginning = self.real().await?.begin(source, owner).await?;
        if beginning.after_a_crash {
            self.after_a_crash.store(true, Ordering::Release);
        }
        self.begun.lock().unwrap().push(source.partition);
        Ok(beginning)
    }

    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), RetryStoreError> {
        let ended = self.real().await?.end(source, owner).await;
        self.ended.lock().unwrap().push(source.partition);
        ended
    }

    async fn note_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        self.real().await?.note_attempt(record).await
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
