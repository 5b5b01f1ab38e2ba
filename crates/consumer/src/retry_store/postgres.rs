//! The retry store on PostgreSQL, shared by the replicas of a service and by operators. All times are from the server.
//!
//! Guarantees under concurrency:
//!
//! * **The head of a key does not change until it is removed.** Ids grow with insertion, and only the owner of a partition
//!   adds rows of its keys, one after the other. (A consumer that lost the partition and does not know it yet may add a row
//!   late. The new owner has handled or stored that event before any later one of the key, so handling the late row is a
//!   no-op at any position.)
//! * **Only the head is claimed, by one claimant at a time.** [`claim`] checks both under the row lock: the second of two
//!   claimants waits for the lock, and then sees the claim of the first. It does not skip locked rows.
//! * **The head is the only due row of its key** (`next_attempt_at`), so that millions of rows behind a dead one cost
//!   nothing. The transaction that removes a head (handled, skipped) makes the next one due; the statement that adds a row
//!   behind a head locks the head ([`add`]). So either the remover sees the new row, or the adder sees that the head is
//!   gone. No row is left that is never made due.
//! * **Operators** need a DEAD head, **sweepers** a WAITING one that they have claimed. Both check the state under the row
//!   lock, so neither changes what the other has begun.
//! * A record is stored once, by topic, partition, offset and timestamp: a second insert finds it, in any state.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::row::{Insertion, claimed};
use super::statements::RetryStatements;
use super::{
    Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, SessionStart, Settlement,
    TopicPartition,
};
use kafka::record::Record;
use sql::postgres::{Postgres, retry_conflicts};

mod add;
mod claim;
mod operate;
mod partition;

/// The retry store in one database.
#[derive(Clone, Debug)]
pub struct PostgresRetryStore {
    database: Arc<Postgres>,
    statements: RetryStatements,
}

impl PostgresRetryStore {
    /// The retry store in this database, which has the tables of [`super::database::MIGRATIONS`].
    pub fn new(database: Arc<Postgres>) -> Self {
        Self {
            statements: RetryStatements::new(database.statements()),
            database,
        }
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }
}

#[async_trait]
impl RetryStore for PostgresRetryStore {
    async fn begin_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<SessionStart, RetryStoreError> {
        let begin = retry_conflicts(|| partition::begin_session(self.pool(), partition, owner));
        Ok(self.statements.begin_session.run(begin).await?)
    }

    async fn end_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<(), RetryStoreError> {
        let end = retry_conflicts(|| partition::end_session(self.pool(), partition, owner));
        Ok(self.statements.end_session.run(end).await?)
    }

    async fn count_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        let count = retry_conflicts(|| partition::count_attempt(self.pool(), record));
        Ok(self.statements.count_attempt.run(count).await?)
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        let forget = retry_conflicts(|| partition::forget_attempts(self.pool(), record));
        Ok(self.statements.forget_attempts.run(forget).await?)
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        let insertion = Insertion::of_failed(record, fault, state);
        let add = add::add(self.pool(), &insertion);
        self.statements.store.run(add).await?;
        Ok(())
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        let insertion = Insertion::of_follower(record);
        let add = add::add(self.pool(), &insertion);
        Ok(self.statements.store_behind.run(add).await?)
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        let claim = retry_conflicts(|| claim::claim(self.pool(), topic, claimant, limit, term));
        Ok(claimed(self.statements.claim.run(claim).await?))
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        let settle = retry_conflicts(|| claim::settle(self.pool(), id, claimant, settlement));
        Ok(Box::pin(self.statements.settle.run(settle)).await?)
    }
}

/// No-op for a dead head, and for one that is due at a later time.
const MAKE_HEAD_DUE: &str = "
UPDATE retry_events SET next_attempt_at = unix_millis()
WHERE id = (SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED'
            ORDER BY id LIMIT 1)
  AND state = 'WAITING' AND next_attempt_at IS NULL";

/// Makes the head of a key due, after the previous one was removed. A separate statement, because it has to see rows that
/// were added while the removal waited for its lock.
async fn make_head_due(
    transaction: &mut PgConnection,
    topic: &str,
    ordering_key: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(MAKE_HEAD_DUE)
        .bind(topic)
        .bind(ordering_key)
        .execute(transaction)
        .await?;
    Ok(())
}
