//! RetryStore on SQLite: one process works on the file, and operators beside it.
//!
//! Every change is one write transaction, and there is one at a time: what [`super::postgres`] has to arrange holds by
//! itself. Rows mean the same on both: only the head of a key is due, and who takes it away makes the next one due. Times
//! are those of the machine, which all processes share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::row::Insertion;
use super::{
    Beginning, Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, Settlement,
    Source,
};
use kafka::record::Record;
use sql::sqlite::Sqlite;

mod add;
mod claim;
mod operate;
mod partition;

/// The parked events of one database file.
#[derive(Clone, Debug)]
pub struct SqliteRetryStore {
    database: Arc<Sqlite>,
}

impl SqliteRetryStore {
    /// The parked events of this database.
    pub fn new(database: Arc<Sqlite>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl RetryStore for SqliteRetryStore {
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, RetryStoreError> {
        partition::begin(&self.database, source, owner).await
    }

    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), RetryStoreError> {
        partition::end(&self.database, source, owner).await
    }

    async fn note_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        partition::note_attempt(&self.database, record).await
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        partition::forget_attempts(&self.database, record).await
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        let insertion = Insertion::of_failed(record, fault, state);
        add::add(&self.database, &insertion).await?;
        Ok(())
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        add::add(&self.database, &Insertion::of_follower(record)).await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        claim::claim(&self.database, topic, claimant, limit, term).await
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        claim::settle(&self.database, id, claimant, settlement).await
    }
}

/// A head that is dead is not made due, nor is one that has its time already.
const MAKE_HEAD_DUE: &str = "
UPDATE retry_events SET next_attempt_at = $3
WHERE id = (SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED'
            ORDER BY id LIMIT 1)
  AND state = 'WAITING' AND next_attempt_at IS NULL";

/// Makes the head of a key due, behind the statement that took the one before it away.
async fn make_head_due(
    transaction: &mut SqliteConnection,
    topic: &str,
    ordering_key: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(MAKE_HEAD_DUE)
        .bind(topic)
        .bind(ordering_key)
        .bind(now())
        .execute(transaction)
        .await?;
    Ok(())
}

/// Unix milliseconds.
fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
