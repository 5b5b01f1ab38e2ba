//! The outbox on PostgreSQL, shared by the replicas of a service.
//!
//! `seq` is assigned at insertion, not at commit, so a row can become visible below one that was already read. The relay
//! tolerates that in two ways: it reads overlapping ranges ([`crate::relay`]), and it knows every row with its predecessor
//! of the same key, whether it was read or handed over. The second requires the writer to lock the entity behind the key
//! **before** the statement that inserts: then a row never becomes visible before its predecessor, never has a lower
//! position, and the statement sees the predecessor.
//!
//! The predecessor is `max(seq + 0)`, and found by an index on the key alone: no statement can be answered by two indexes. While
//! the table is nearly empty, or looks so, PostgreSQL could choose the one that is read as a whole.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;

use crate::hand_over::{InsertedRows, PendingRows, ReturnedRow};
use crate::outbox::{BLOCKED_APART, Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow};
use crate::shard::Shard;
use crate::statements::{OutboxStatements, StoredRow};
use kafka::headers;
use sql::columns::{column, signed};
use sql::operation::bounded;
use sql::postgres::Postgres;

/// The rows of an outbox as one array per column, for `UNNEST` in the statement that writes them.
#[derive(Debug, Default)]
pub struct RecordColumns<'a> {
    /// `shard SMALLINT`
    pub shards: Vec<i16>,
    /// `topic TEXT`
    pub topics: Vec<&'a str>,
    /// `key TEXT`
    pub keys: Vec<&'a str>,
    /// `headers BYTEA`
    pub headers: Vec<Vec<u8>>,
    /// `payload BYTEA`
    pub payloads: Vec<&'a [u8]>,
}

impl<'a> RecordColumns<'a> {
    /// The columns of these records, each array in the order of the records.
    pub fn new(records: impl IntoIterator<Item = &'a Arc<OutboxRecord>>) -> Self {
        let mut columns = Self::default();
        for record in records {
            columns.shards.push(Shard::of(&record.key).number());
            columns.topics.push(&record.topic);
            columns.keys.push(&record.key);
            columns.headers.push(headers::encode(&record.headers));
            columns.payloads.push(&record.payload);
        }
        columns
    }
}

/// Writes events in the caller's transaction, next to the state that they announce. The transaction must already hold the
/// lock of that state.
///
/// # Errors
/// When the database fails; the caller's transaction must then be rolled back.
pub async fn insert(
    connection: &mut PgConnection,
    records: &[Arc<OutboxRecord>],
) -> Result<InsertedRows, sqlx::Error> {
    let pending = PendingRows::new(records.iter().cloned());
    if records.is_empty() {
        return Ok(pending.inserted(Vec::new()));
    }
    let columns = RecordColumns::new(records);
    // The subquery does not see the rows of this statement.
    let returned: Vec<ReturnedRow> = sqlx::query_as(
        "INSERT INTO outbox (shard, topic, key, headers, payload) \
         SELECT shard, topic, key, headers, payload \
         FROM UNNEST($1::smallint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) \
              WITH ORDINALITY AS record (shard, topic, key, headers, payload, position) \
         ORDER BY position \
         RETURNING seq, key, \
                   (SELECT max(earlier.seq + 0) FROM outbox AS earlier WHERE earlier.key = outbox.key)",
    )
    .bind(columns.shards)
    .bind(columns.topics)
    .bind(columns.keys)
    .bind(columns.headers)
    .bind(columns.payloads)
    .fetch_all(connection)
    .await?;
    Ok(pending.inserted(returned))
}

/// The outbox table of one database.
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    database: Arc<Postgres>,
    statements: OutboxStatements,
}

impl PostgresOutbox {
    /// The outbox of a database that has the tables of [`crate::database::MIGRATIONS`].
    pub fn new(database: Arc<Postgres>) -> Self {
        let statements = OutboxStatements::new(database.statements());
        Self {
            database,
            statements,
        }
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    /// One array in one row: decoding thousands of rows would cost more than the query.
    async fn positions(
        &self,
        shards: &[Shard],
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, OutboxError> {
        let positions = sqlx::query_scalar(
            "SELECT ARRAY(SELECT seq FROM outbox WHERE shard = ANY($1) AND seq > $2 ORDER BY seq LIMIT $3)",
        )
        .bind(column(shards, |shard| shard.number()))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_one(self.database.pool());
        Ok(self.statements.positions.run(bounded(positions)).await?)
    }

    async fn read(&self, positions: &[i64]) -> Result<Vec<OutboxRow>, OutboxError> {
        let rows = sqlx::query_as(
            "SELECT seq, shard, topic, key, headers, payload, \
                    (SELECT max(earlier.seq + 0) FROM outbox AS earlier \
                     WHERE earlier.key = outbox.key AND earlier.seq + 0 < outbox.seq) AS predecessor \
             FROM outbox WHERE seq = ANY($1) ORDER BY seq",
        )
        .bind(positions)
        .fetch_all(self.database.pool());
        let rows: Vec<StoredRow> = self.statements.read.run(bounded(rows)).await?;
        Ok(rows.into_iter().map(OutboxRow::from).collect())
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let delete = sqlx::query("DELETE FROM outbox WHERE seq = ANY($1)")
            .bind(acknowledged)
            .execute(self.database.pool());
        self.statements.delete.run(bounded(delete)).await?;
        Ok(())
    }

    async fn note_blocked(&self, rows: &[i64]) -> Result<(), OutboxError> {
        let note = sqlx::query(
            "UPDATE outbox SET blocked_at = now() WHERE seq = ANY($1) AND blocked_at IS NULL",
        )
        .bind(rows)
        .execute(self.database.pool());
        self.statements.note_blocked.run(bounded(note)).await?;
        Ok(())
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        // In the order of the index: a scan of the table would read the dead rows too, often a hundred times as many.
        // Both ends of the difference use the database's clock. The lowest position is the oldest row, except for commits
        // that overtook each other.
        let backlog = sqlx::query_as(
            "SELECT (SELECT count(*) FROM (SELECT FROM outbox ORDER BY seq LIMIT $1) AS counted), \
                    coalesce(extract(epoch FROM now() - \
                        (SELECT created_at FROM outbox \
                         WHERE key <> ALL (ARRAY(SELECT key FROM outbox WHERE blocked_at IS NOT NULL ORDER BY key LIMIT $2)) \
                         ORDER BY seq LIMIT 1)), 0)::float8",
        )
        .bind(signed(at_most))
        .bind(i64::from(BLOCKED_APART))
        .fetch_one(self.database.pool());
        let (rows, oldest): (i64, f64) = self.statements.backlog.run(bounded(backlog)).await?;
        Ok(Backlog {
            rows: rows.unsigned_abs(),
            oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
        })
    }

    fn has_other_writers(&self) -> bool {
        true
    }
}
