//! The retry store in a service's database, on either engine, and the migrations of its tables and of the inbox.
//!
//! PostgreSQL is shared by the replicas of a service and by operators; all times are from the server. Guarantees under
//! concurrency:
//!
//! * **The head of a key does not change until it is removed.** Ids grow with insertion, and only the owner of a partition
//!   adds rows of its keys, one after the other. (A consumer that lost the partition and does not know it yet may add a row
//!   late. The new owner has handled or stored that event before any later one of the key, so handling the late row is a
//!   no-op at any position.)
//! * **Only the head is claimed, by one claimant at a time.** `CLAIM_ON_POSTGRES` checks both under the row lock: the second
//!   of two claimants waits for the lock, and then sees the claim of the first. It does not skip locked rows.
//! * **The head is the only due row of its key** (`next_attempt_at`), so that millions of rows behind a dead one cost
//!   nothing. The transaction that removes a head (handled, skipped) makes the next one due; the statement that adds a row
//!   behind a head locks the head (`add.rs`). So either the remover sees the new row, or the adder sees that the head
//!   is gone. No row is left that is never made due.
//! * **Operators** need a DEAD head, **sweepers** a WAITING one that they have claimed. Both check the state under the row
//!   lock, so neither changes what the other has begun.
//! * A record is stored once, by topic, partition, offset and timestamp: a second insert finds it, in any state.
//!
//! A SQLite file is used by one service process, and operators beside it. Every change is one write transaction, and only
//! one runs at a time, which gives the same guarantees without row locks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::add::add;
use super::attempt_counts::{AttemptCount, AttemptCounts};
use super::connection::{Connection, Query, Row};
use super::operations::Operations;
use super::row::{RetryEventRow, bind_fault, bind_state, claimed, millis};
use super::{
    BlockedKeySet, Claimed, Fault, KeyState, MAX_BLOCKED_KEYS, RetryState, RetryStore,
    RetryStoreError, SessionStart, Settlement, TopicPartition,
};
use kafka::record::Record;
use sql::database::Database;
use sql::group_commit::{GroupCommit, GroupCommitConfig};
use sql::migrations::MigrationSet;
use sql::operation::retry_conflicts;
use sql::statements::Query as StatementQuery;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the retry store and the inbox. A service applies them beside its own migrations.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "consumer",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// The retry store of a consumer. Its writer of attempt counts runs on `tracker` until the store is dropped.
pub fn retry_store(database: &Database, tracker: &TaskTracker) -> Arc<dyn RetryStore> {
    let tables = RetryTables {
        database: database.clone(),
    };
    let counts = AttemptCounts::new(tables.clone());
    Arc::new(DatabaseRetryStore {
        tables,
        counts: GroupCommit::start(counts, GroupCommitConfig::default(), tracker),
    })
}

/// The operations of an operator on the same tables.
pub fn operations(database: &Database) -> Arc<dyn Operations> {
    Arc::new(RetryTables {
        database: database.clone(),
    })
}

/// An existing row was left by a crash. A row of the same owner is a repeated call whose first answer was lost: it gets the
/// same answer.
const BEGIN: &str = "
INSERT INTO consumer_assignments AS assignment (topic, partition, owner, after_a_crash) VALUES ($1, $2, $3, false)
ON CONFLICT (topic, partition) DO UPDATE
SET owner = $3, after_a_crash = assignment.owner <> $3 OR assignment.after_a_crash
RETURNING after_a_crash";

const END: &str = "
DELETE FROM consumer_assignments WHERE topic = $1 AND partition = $2 AND owner = $3";

/// The blocked keys of a topic, and not of a partition: after partitions were added to the topic, later events of a blocked
/// key arrive on another partition. Steps from key to key in the index (a loose index scan) instead of reading every row: a
/// key may have very many.
const BLOCKED_KEYS: &str = "
WITH RECURSIVE blocked (ordering_key) AS (
    SELECT (SELECT ordering_key FROM retry_events
            WHERE topic = $1 AND ordering_key IS NOT NULL AND state <> 'SKIPPED'
            ORDER BY ordering_key LIMIT 1)
    UNION ALL
    SELECT (SELECT retry_events.ordering_key FROM retry_events
            WHERE topic = $1 AND retry_events.ordering_key > blocked.ordering_key AND state <> 'SKIPPED'
            ORDER BY retry_events.ordering_key LIMIT 1)
    FROM blocked WHERE blocked.ordering_key IS NOT NULL
)
SELECT ordering_key FROM blocked WHERE ordering_key IS NOT NULL LIMIT $2";

/// One more than are kept in memory, to detect that there are more.
#[expect(
    clippy::cast_possible_wrap,
    reason = "a constant far below the limit of the type"
)]
const MAX_READ_KEYS: i64 = MAX_BLOCKED_KEYS as i64 + 1;

/// Sweepers poll every second: on SQLite an empty poll must not cost the only write transaction.
const IS_ANY_DUE_ON_SQLITE: &str = "
SELECT EXISTS (SELECT 1 FROM retry_events WHERE topic = $1 AND next_attempt_at <= unix_millis()
               AND (claimed_until IS NULL OR claimed_until <= unix_millis()))";

/// Checks that a row is the head although only heads are due: order must not depend on `next_attempt_at`.
const CLAIM_ON_SQLITE: &str = "
UPDATE retry_events SET claimed_by = $3, claimed_until = unix_millis() + $4
WHERE id IN (
    SELECT id FROM retry_events AS head
    WHERE topic = $1 AND next_attempt_at <= unix_millis()
      AND (claimed_until IS NULL OR claimed_until <= unix_millis())
      AND NOT EXISTS (SELECT 1 FROM retry_events AS earlier
                      WHERE earlier.topic = head.topic AND earlier.ordering_key = head.ordering_key
                        AND earlier.state <> 'SKIPPED' AND earlier.id < head.id)
    ORDER BY next_attempt_at, id LIMIT $2
)
RETURNING id, topic, partition, record_offset, record_timestamp, key, headers, payload,
          fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives";

/// As on SQLite. Waits for the lock of a row that is being claimed, then checks it again.
const CLAIM_ON_POSTGRES: &str = "
WITH due AS (
    SELECT id FROM retry_events AS head
    WHERE topic = $1 AND next_attempt_at <= unix_millis()
      AND (claimed_until IS NULL OR claimed_until <= unix_millis())
      AND NOT EXISTS (SELECT FROM retry_events AS earlier
                      WHERE earlier.topic = head.topic AND earlier.ordering_key = head.ordering_key
                        AND earlier.state <> 'SKIPPED' AND earlier.id < head.id)
    ORDER BY next_attempt_at, id LIMIT $2 FOR UPDATE OF head
)
UPDATE retry_events SET claimed_by = $3, claimed_until = unix_millis() + $4
FROM due WHERE retry_events.id = due.id
RETURNING retry_events.id, topic, partition, record_offset, record_timestamp, key, headers, payload,
          fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives";

const REMOVE: &str = "
DELETE FROM retry_events WHERE id = $1 AND claimed_by = $2 RETURNING topic, ordering_key";

const STORE_AGAIN: &str = "
UPDATE retry_events
SET fault_class = $3, fault_message = $4, attempts = $5, first_failed_at = $6, last_failed_at = $7,
    state = $8, next_attempt_at = CASE WHEN $8 = 'WAITING' THEN unix_millis() + $9 END, rounds = rounds + 1,
    claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND claimed_by = $2";

const RELEASE: &str = "
UPDATE retry_events SET claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND claimed_by = $2";

/// No-op for a dead head, and for one that is due at a later time.
const MAKE_HEAD_DUE: &str = "
UPDATE retry_events SET next_attempt_at = unix_millis()
WHERE id = (SELECT id FROM retry_events WHERE topic = $1 AND ordering_key = $2 AND state <> 'SKIPPED'
            ORDER BY id LIMIT 1)
  AND state = 'WAITING' AND next_attempt_at IS NULL";

/// The tables of [`MIGRATIONS`] in one database.
#[derive(Clone)]
pub(super) struct RetryTables {
    pub(super) database: Database,
}

/// The retry store in these tables.
struct DatabaseRetryStore {
    tables: RetryTables,
    counts: GroupCommit<AttemptCounts>,
}

impl RetryTables {
    /// Observes a call of [`RetryStore`]. The operations of an operator are rare and not observed.
    async fn observed<T>(
        &self,
        summary: &'static str,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, RetryStoreError> {
        let query = StatementQuery::transaction(summary);
        let statement = self.database.statements().prepare(query);
        Ok(statement.run(call).await?)
    }

    pub(super) async fn transaction(&self) -> Result<Connection, sqlx::Error> {
        Connection::transaction(&self.database).await
    }

    /// Runs a statement that changes nothing; `bind` sets its parameters.
    pub(super) async fn read<T: Row>(
        &self,
        sql: &'static str,
        bind: impl for<'c> Fn(Query<'c>) -> Query<'c>,
    ) -> Result<Vec<T>, sqlx::Error> {
        let read = async || {
            let mut connection = Connection::read(&self.database).await?;
            bind(connection.query(sql)).fetch_all().await
        };
        self.run(read).await
    }

    /// Runs a statement that changes rows, as one transaction.
    async fn change<T: Row>(
        &self,
        sql: &'static str,
        bind: impl for<'c> Fn(Query<'c>) -> Query<'c>,
    ) -> Result<Vec<T>, sqlx::Error> {
        let change = async || {
            let mut connection = Connection::statement(&self.database).await?;
            let rows = bind(connection.query(sql)).fetch_all().await?;
            connection.commit().await?;
            Ok(rows)
        };
        self.run(change).await
    }

    /// Runs one transaction. On PostgreSQL it has a timeout, and is repeated after a conflict with another one; SQLite waits
    /// for its lock and reports no conflict.
    pub(super) async fn run<T, F>(&self, operation: impl Fn() -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        // The futures of the drivers are large.
        let operation = || Box::pin(operation());
        match &self.database {
            Database::Sqlite(_) => operation().await,
            Database::Postgres(_) => retry_conflicts(operation).await,
        }
    }

    async fn blocked_keys(&self, topic: &str) -> Result<BlockedKeySet, sqlx::Error> {
        let keys = self.read(BLOCKED_KEYS, |query| query.bind(topic).bind(MAX_READ_KEYS));
        let keys: Vec<(Vec<u8>,)> = keys.await?;
        if keys.len() > MAX_BLOCKED_KEYS {
            return Ok(BlockedKeySet::TooMany);
        }
        let keys = keys.into_iter().map(|(key,)| key);
        Ok(BlockedKeySet::Keys(keys.collect()))
    }

    async fn due(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<RetryEventRow>, sqlx::Error> {
        let claim = match &self.database {
            Database::Sqlite(_) if !self.is_any_due(topic).await? => return Ok(Vec::new()),
            Database::Sqlite(_) => CLAIM_ON_SQLITE,
            Database::Postgres(_) => CLAIM_ON_POSTGRES,
        };
        let limit = i64::from(limit);
        self.change(claim, |query| {
            let query = query.bind(topic).bind(limit);
            query.bind(claimant).bind(millis(term))
        })
        .await
    }

    async fn is_any_due(&self, topic: &str) -> Result<bool, sqlx::Error> {
        let (is_any_due,) = one(self
            .read(IS_ANY_DUE_ON_SQLITE, |query| query.bind(topic))
            .await?)?;
        Ok(is_any_due)
    }
}

#[async_trait]
impl RetryStore for DatabaseRetryStore {
    async fn begin_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<SessionStart, RetryStoreError> {
        let TopicPartition { topic, partition } = partition;
        let begin = async {
            let begun = self.tables.change(BEGIN, |query| {
                query.bind(topic).bind(*partition).bind(owner)
            });
            let (after_a_crash,) = one(begun.await?)?;
            let blocked = self.tables.blocked_keys(topic).await?;
            Ok(SessionStart {
                blocked,
                after_a_crash,
            })
        };
        self.tables.observed("begin partition session", begin).await
    }

    async fn end_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<(), RetryStoreError> {
        let TopicPartition { topic, partition } = partition;
        let end = self
            .tables
            .change::<()>(END, |query| query.bind(topic).bind(*partition).bind(owner));
        self.tables.observed("end partition session", end).await?;
        Ok(())
    }

    async fn count_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        Ok(self.counts.submit(AttemptCount::add(record)).await?)
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        self.counts.submit(AttemptCount::remove(record)).await?;
        Ok(())
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        let add = add(&self.tables.database, record, Some((fault, state)));
        self.tables.observed("store retry event", add).await?;
        Ok(())
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        let add = add(&self.tables.database, record, None);
        self.tables.observed("store retry event behind", add).await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        let claim = self.tables.due(topic, claimant, limit, term);
        Ok(claimed(
            self.tables.observed("claim retry events", claim).await?,
        ))
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        let settle = self.tables.run(async || {
            let mut transaction = self.tables.transaction().await?;
            match settlement {
                Settlement::Handled => remove(&mut transaction, id, claimant).await?,
                Settlement::Failed(fault, state) => {
                    let again = transaction.query(STORE_AGAIN).bind(id).bind(claimant);
                    let again = bind_fault(again, Some(fault));
                    bind_state(again, *state).execute().await?;
                }
                Settlement::Released => {
                    let release = transaction.query(RELEASE).bind(id);
                    release.bind(claimant).execute().await?;
                }
            }
            transaction.commit().await
        });
        self.tables.observed("settle retry event", settle).await
    }
}

/// The row of a statement that returns one.
pub(super) fn one<T>(mut rows: Vec<T>) -> Result<T, sqlx::Error> {
    rows.pop().ok_or(sqlx::Error::RowNotFound)
}

async fn remove(transaction: &mut Connection, id: i64, claimant: Uuid) -> Result<(), sqlx::Error> {
    let remove = transaction.query(REMOVE).bind(id).bind(claimant);
    let removed: Option<(String, Option<Vec<u8>>)> = remove.fetch_optional().await?;
    if let Some((topic, Some(ordering_key))) = removed {
        make_head_due(transaction, &topic, &ordering_key).await?;
    }
    Ok(())
}

/// Makes the head of a key due, after the previous one was removed. A separate statement, because it has to see rows that
/// were added while the removal waited for its lock.
pub(super) async fn make_head_due(
    transaction: &mut Connection,
    topic: &str,
    ordering_key: &[u8],
) -> Result<(), sqlx::Error> {
    let make_due = transaction.query(MAKE_HEAD_DUE).bind(topic);
    make_due.bind(ordering_key).execute().await
}
