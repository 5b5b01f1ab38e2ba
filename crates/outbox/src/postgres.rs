//! The outbox on PostgreSQL, shared by the replicas of a service.
//!
//! `seq` is taken when a row is inserted and not when it is committed, so a row can appear below one already read. Two
//! things make that harmless: the relay looks back (see [`crate::relay`]), and every row is read together with its
//! predecessor of the same key. The second needs the writer to hold the lock of what the key stands for **before** it
//! inserts: then a row is never visible before its predecessor, and never has the lower position.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow, Shard};
use kafka::headers;
use sql::postgres::{Postgres, bounded};

/// The rows of an outbox as one array per column, for `UNNEST` in the statement that writes them.
#[derive(Debug, Default)]
pub struct RecordColumns {
    /// `shard SMALLINT`
    pub shards: Vec<i16>,
    /// `topic TEXT`
    pub topics: Vec<&'static str>,
    /// `key TEXT`
    pub keys: Vec<String>,
    /// `headers BYTEA`
    pub headers: Vec<Vec<u8>>,
    /// `payload BYTEA`
    pub payloads: Vec<Vec<u8>>,
}

impl RecordColumns {
    /// The columns of these records, each array in their order.
    pub fn new<R: Borrow<OutboxRecord>>(records: impl IntoIterator<Item = R>) -> Self {
        let mut columns = Self::default();
        for record in records {
            let record = record.borrow();
            columns.shards.push(Shard::of(&record.key).number());
            columns.topics.push(record.topic);
            columns.keys.push(record.key.clone());
            columns.headers.push(headers::encode(&record.headers));
            columns.payloads.push(record.payload.clone());
        }
        columns
    }
}

/// Writes events in the caller's transaction, next to the state that they announce and behind its lock.
///
/// # Errors
/// When the database fails.
pub async fn insert<R: Borrow<OutboxRecord>>(
    connection: &mut PgConnection,
    records: &[R],
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let columns = RecordColumns::new(records.iter().map(Borrow::borrow));
    sqlx::query(
        "INSERT INTO outbox (shard, topic, key, headers, payload) \
         SELECT shard, topic, key, headers, payload \
         FROM UNNEST($1::smallint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[]) \
              WITH ORDINALITY AS record (shard, topic, key, headers, payload, position) \
         ORDER BY position",
    )
    .bind(columns.shards)
    .bind(columns.topics)
    .bind(columns.keys)
    .bind(columns.headers)
    .bind(columns.payloads)
    .execute(connection)
    .await?;
    Ok(())
}

/// The outbox table of one database.
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    database: Arc<Postgres>,
}

impl PostgresOutbox {
    /// The outbox of this database.
    pub fn new(database: Arc<Postgres>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Outbox for PostgresOutbox {
    async fn read(
        &self,
        shards: &[Shard],
        after: i64,
        except: &[i64],
        limit: u32,
    ) -> Result<Vec<OutboxRow>, OutboxError> {
        let shards: Vec<i16> = shards.iter().map(|shard| shard.number()).collect();
        let rows = sqlx::query(
            "SELECT seq, shard, topic, key, headers, payload, \
                    (SELECT max(earlier.seq) FROM outbox AS earlier \
                     WHERE earlier.key = outbox.key AND earlier.seq < outbox.seq) AS predecessor \
             FROM outbox WHERE shard = ANY($1) AND seq > $2 AND seq <> ALL($3) \
             ORDER BY seq LIMIT $4",
        )
        .bind(shards)
        .bind(after)
        .bind(except)
        .bind(i64::from(limit))
        .fetch_all(self.database.pool());
        bounded(rows).await?.iter().map(outbox_row).collect()
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let delete = sqlx::query("DELETE FROM outbox WHERE seq = ANY($1)")
            .bind(acknowledged)
            .execute(self.database.pool());
        bounded(delete).await?;
        Ok(())
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        // The clock is the database's on both sides of the difference. The first position is the oldest but for commits
        // that overtook each other.
        let backlog = sqlx::query(
            "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted), \
                    coalesce(extract(epoch FROM now() - \
                        (SELECT created_at FROM outbox ORDER BY seq LIMIT 1)), 0)::float8",
        )
        .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
        .fetch_one(self.database.pool());
        let row = bounded(backlog).await?;
        let rows: i64 = row.try_get(0)?;
        let oldest: f64 = row.try_get(1)?;
        Ok(Backlog {
            rows: rows.unsigned_abs(),
            oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
        })
    }

    fn has_other_writers(&self) -> bool {
        true
    }
}

fn outbox_row(row: &PgRow) -> Result<OutboxRow, OutboxError> {
    let encoded: &[u8] = row.try_get("headers")?;
    Ok(OutboxRow {
        seq: row.try_get("seq")?,
        shard: Shard::numbered(row.try_get("shard")?),
        predecessor: row.try_get("predecessor")?,
        topic: row.try_get("topic")?,
        key: row.try_get("key")?,
        headers: headers::decode(encoded),
        payload: row.try_get("payload")?,
    })
}
