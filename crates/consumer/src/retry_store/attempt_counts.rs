//! The attempt counts of the crash-loop guard, written in group commits.
//!
//! A guarded attempt writes twice: its count before, and the removal after it. After a crash there are thousands of guarded
//! records and as many attempts at once as the consumer allows. With a transaction each they would hold every connection of
//! the pool, the handlers would time out waiting for one, and their retries would be guarded again.

use async_trait::async_trait;

use super::connection::{Connection, Query};
use super::database::RetryTables;
use super::row::{count, timestamp};
use kafka::record::Record;
use sql::group_commit::Committer;
use sql::statements::{Query as StatementQuery, Statement};

const ADD: &str = "
INSERT INTO record_attempts AS counted (topic, partition, record_offset, record_timestamp, attempts, counted_at)
VALUES ($1, $2, $3, $4, 1, unix_millis())
ON CONFLICT (topic, partition, record_offset, record_timestamp)
DO UPDATE SET attempts = counted.attempts + 1, counted_at = excluded.counted_at
RETURNING attempts";

const REMOVE: &str = "
DELETE FROM record_attempts
WHERE topic = $1 AND partition = $2 AND record_offset = $3 AND record_timestamp = $4";

/// A change of the count of one record.
#[derive(Debug)]
pub(super) struct AttemptCount {
    record: RecordId,
    change: CountChange,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RecordId {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: i64,
}

#[derive(Clone, Copy, Debug)]
enum CountChange {
    Add,
    Remove,
}

impl AttemptCount {
    /// One attempt more.
    pub(super) fn add(record: &Record) -> Self {
        Self::of(record, CountChange::Add)
    }

    /// No attempts.
    pub(super) fn remove(record: &Record) -> Self {
        Self::of(record, CountChange::Remove)
    }

    fn of(record: &Record, change: CountChange) -> Self {
        let record = RecordId {
            topic: record.topic.clone(),
            partition: record.partition,
            offset: record.offset,
            timestamp: timestamp(record),
        };
        Self { record, change }
    }

    /// The count after the change.
    async fn write(&self, transaction: &mut Connection) -> Result<u32, sqlx::Error> {
        match self.change {
            CountChange::Add => {
                let added = self.record.bind(transaction.query(ADD));
                let (attempts,) = added.fetch_one().await?;
                Ok(count(attempts))
            }
            CountChange::Remove => {
                let removed = self.record.bind(transaction.query(REMOVE));
                removed.execute().await?;
                Ok(0)
            }
        }
    }
}

impl RecordId {
    /// `$1` to `$4`
    fn bind<'c>(&self, query: Query<'c>) -> Query<'c> {
        query
            .bind(self.topic.clone())
            .bind(self.partition)
            .bind(self.offset)
            .bind(self.timestamp)
    }
}

/// Writes the changes of a batch.
pub(super) struct AttemptCounts {
    tables: RetryTables,
    statement: Statement,
}

impl AttemptCounts {
    pub(super) fn new(tables: RetryTables) -> Self {
        let query = StatementQuery::transaction("count attempts");
        let statement = tables.database.statements().prepare(query);
        Self { tables, statement }
    }

    async fn write(&self, batch: &[AttemptCount]) -> Result<Vec<u32>, sqlx::Error> {
        // In one order of the rows, because two processes may count the same records after a rebalance. The sort is stable:
        // changes of one record keep their order.
        let mut sorted: Vec<_> = (0..).zip(batch).collect();
        sorted.sort_by_key(|(_, count)| &count.record);
        let mut transaction = self.tables.transaction().await?;
        let mut counts = vec![0; batch.len()];
        for (index, count) in sorted {
            let index: usize = index;
            counts[index] = count.write(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(counts)
    }
}

#[async_trait]
impl Committer for AttemptCounts {
    type Command = AttemptCount;
    type Reply = u32;
    type Error = sqlx::Error;

    const NAME: &'static str = "attempts";

    /// Crash points count the commits of the service.
    const HAS_CRASH_POINTS: bool = false;

    async fn commit(&self, batch: &[AttemptCount]) -> Result<Vec<u32>, sqlx::Error> {
        let write = self.tables.run(async || self.write(batch).await);
        self.statement.run_batch(batch.len(), write).await
    }
}
