//! RetryStore on PostgreSQL, shared by the replicas of a service and by operators. All times are the server's.
//!
//! What holds when several processes do these things at the same time:
//!
//! * **The head of a key does not change until it is taken away.** Ids grow, a row that was inserted earlier has the lower
//!   one, and only the owner of a partition adds rows of its keys, one after the other. (A consumer that lost the
//!   partition and does not know it yet may add a row late. Its event was handled or parked by the new owner before any
//!   later one of the key, so wherever the row stands, handling it changes nothing.)
//! * **Only the head is claimed, by one at a time.** [`claim`] checks both under the row's lock: of two that want a row
//!   the second waits, and then sees the first one's claim. It does not skip locked rows.
//! * **The head is the only row of its key that is due** (`next_attempt_at`), so that millions behind a dead one cost
//!   nothing. Who takes a head away (handled, skipped) makes the next one due in the same transaction; who adds a row
//!   behind a head holds the head's row meanwhile ([`add`]). So either the row is seen by the one who takes the head
//!   away, or the head's absence is seen by the one who adds. No row is left behind with nobody to make it due.
//! * **What operators do** needs a DEAD head, and what sweepers do a WAITING one that they have claimed. Each looks at the
//!   state under the row's lock, so neither changes what the other has begun.
//! * A parked record is parked once, by the place it was read from: who adds it a second time finds it, in any state.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::row::Insertion;
use super::{
    Beginning, Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, Settlement,
    Source,
};
use kafka::record::Record;
use sql::postgres::Postgres;

mod add;
mod claim;
mod operate;
mod partition;

/// The parked events of one database.
#[derive(Clone, Debug)]
pub struct PostgresRetryStore {
    database: Arc<Postgres>,
}

impl PostgresRetryStore {
    /// The parked events of this database.
    pub fn new(database: Arc<Postgres>) -> Self {
        Self { database }
    }

    fn pool(&self) -> &PgPool {
        self.database.pool()
    }
}

#[async_trait]
impl RetryStore for PostgresRetryStore {
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, RetryStoreError> {
        partition::begin(self.pool(), source, owner).await
    }

    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), RetryStoreError> {
        partition::end(self.pool(), source, owner).await
    }

    async fn note_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        partition::note_attempt(self.pool(), record).await
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        partition::forget_attempts(self.pool(), record).await
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        add::add(self.pool(), &Insertion::of_failed(record, fault, state)).await?;
        Ok(())
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        add::add(self.pool(), &Insertion::of_follower(record)).await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        claim::claim(self.pool(), topic, claimant, limit, term).await
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        claim::settle(self.pool(), id, claimant, settlement).await
    }
}

/// A head that is dead is not made due, nor is one that has its time already.
const MAKE_HEAD_DUE: &str = "
UPDATE retry_events SET next_attempt_at = unix_millis()
WHERE id = (SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED'
            ORDER BY id LIMIT 1)
  AND state = 'WAITING' AND next_attempt_at IS NULL";

/// Makes the head of a key due, behind the statement that took the one before it away: a statement of its own, because it
/// has to see what was added while that one waited for its lock.
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
