//! The retry store on SQLite: one service process uses the file, and operators beside it.
//!
//! Every change is one write transaction, and only one runs at a time, which gives the guarantees that [`super::postgres`]
//! needs locks for. The rows mean the same on both engines: only the head of a key is due, and the transaction that removes
//! it makes the next one due. Times are from the clock of the machine, which all processes share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::row::{Insertion, claimed};
use super::statements::RetryStatements;
use super::{
    Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, SessionStart, Settlement,
    TopicPartition,
};
use kafka::record::Record;
use sql::sqlite::Sqlite;

mod add;
mod claim;
mod operate;
mod partition;

/// The retry store in one database file.
#[derive(Clone, Debug)]
pub struct SqliteRetryStore {
    database: Arc<Sqlite>,
    statements: RetryStatements,
}

impl SqliteRetryStore {
    /// The retry store in this database, which has the tables of [`super::database::MIGRATIONS`].
    pub fn new(database: Arc<Sqlite>) -> Self {
        Self {
            statements: RetryStatements::new(database.statements()),
            database,
        }
    }
}

#[async_trait]
impl RetryStore for SqliteRetryStore {
    async fn begin_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<SessionStart, RetryStoreError> {
        let begin = partition::begin_session(&self.database, partition, owner);
        Ok(self.statements.begin_session.run(begin).await?)
    }

    async fn end_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<(), RetryStoreError> {
        let end = partition::end_session(&self.database, partition, owner);
        Ok(self.statements.end_session.run(end).await?)
    }

    async fn count_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        let count = partition::count_attempt(&self.database, record);
        Ok(self.statements.count_attempt.run(count).await?)
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        let forget = partition::forget_attempts(&self.database, record);
        Ok(self.statements.forget_attempts.run(forget).await?)
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        let insertion = Insertion::of_failed(record, fault, state);
        let add = add::add(&self.database, &insertion);
        self.statements.store.run(add).await?;
        Ok(())
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        let insertion = Insertion::of_follower(record);
        let add = add::add(&self.database, &insertion);
        Ok(self.statements.store_behind.run(add).await?)
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        let claim = claim::claim(&self.database, topic, claimant, limit, term);
        Ok(claimed(self.statements.claim.run(claim).await?))
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        let settle = claim::settle(&self.database, id, claimant, settlement);
        Ok(self.statements.settle.run(settle).await?)
    }
}

/// No-op for a dead head, and for one that is due at a later time.
const MAKE_HEAD_DUE: &str = "
UPDATE retry_events SET next_attempt_at = $3
WHERE id = (SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED'
            ORDER BY id LIMIT 1)
  AND state = 'WAITING' AND next_attempt_at IS NULL";

/// Makes the head of a key due, after the previous one was removed.
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
