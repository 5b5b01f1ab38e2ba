//! The outbox on SQLite. The database has one writer, so `seq` is the commit order: no row becomes visible below one that
//! was already read.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row, SqliteConnection, sqlite::SqliteRow};

use crate::outbox::{Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow};
use crate::shard::Shard;
use crate::statements::OutboxStatements;
use kafka::headers;
use sql::sqlite::Sqlite;

/// Rows per statement: five parameters each, well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 1_000;

/// Writes events in the caller's transaction, next to the state that they announce.
///
/// # Errors
/// When the database fails; the caller's transaction must then be rolled back.
pub async fn insert<R: Borrow<OutboxRecord>>(
    connection: &mut SqliteConnection,
    records: &[R],
) -> Result<(), sqlx::Error> {
    let now = unix_millis(SystemTime::now());
    for chunk in records.chunks(ROWS_PER_STATEMENT) {
        let mut statement =
            QueryBuilder::new("INSERT INTO outbox (topic, key, headers, payload, created_at) ");
        statement.push_values(chunk, |mut row, record| {
            let record = record.borrow();
            row.push_bind(record.topic)
                .push_bind(&record.key)
                .push_bind(headers::encode(&record.headers))
                .push_bind(&record.payload)
                .push_bind(now);
        });
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// The outbox table of one database file.
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    database: Arc<Sqlite>,
    statements: OutboxStatements,
}

impl SqliteOutbox {
    /// The outbox of a database that has the tables of [`crate::database::MIGRATIONS`].
    pub fn new(database: Arc<Sqlite>) -> Self {
        let statements = OutboxStatements::new(database.statements());
        Self {
            database,
            statements,
        }
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    /// The only relay holds all shards and `after` is exact, so neither shards nor exceptions need a condition.
    async fn read(
        &self,
        _shards: &[Shard],
        after: i64,
        _except: &[i64],
        limit: u32,
    ) -> Result<Vec<OutboxRow>, OutboxError> {
        let query = sqlx::query(
            "SELECT seq, topic, key, headers, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(self.database.reader());
        self.statements
            .read
            .run(async { query.await?.iter().map(outbox_row).collect() })
            .await
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let delete = self.delete_rows(acknowledged);
        self.statements.delete.run(delete).await
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        let backlog = self.read_backlog(at_most);
        self.statements.backlog.run(backlog).await
    }

    fn has_other_writers(&self) -> bool {
        false
    }
}

impl SqliteOutbox {
    async fn delete_rows(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let mut transaction = self.database.begin().await?;
        for chunk in acknowledged.chunks(ROWS_PER_STATEMENT) {
            let mut statement = QueryBuilder::new("DELETE FROM outbox WHERE seq IN (");
            let mut list = statement.separated(", ");
            for seq in chunk {
                list.push_bind(*seq);
            }
            statement.push(")");
            statement.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn read_backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        let backlog = sqlx::query(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ?)), \
                    (SELECT created_at FROM outbox ORDER BY seq LIMIT 1)",
        );
        let row = backlog
            .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
            .fetch_one(self.database.reader())
            .await?;
        let rows: i64 = row.try_get(0)?;
        let oldest: Option<i64> = row.try_get(1)?;
        let waited = oldest.map_or(0, |created| unix_millis(SystemTime::now()) - created);
        Ok(Backlog {
            rows: rows.unsigned_abs(),
            // A clock that was set back must not show up as an age of centuries.
            oldest: Duration::from_millis(u64::try_from(waited).unwrap_or(0)),
        })
    }
}

fn outbox_row(row: &SqliteRow) -> Result<OutboxRow, OutboxError> {
    let encoded: &[u8] = row.try_get("headers")?;
    let key: String = row.try_get("key")?;
    Ok(OutboxRow {
        seq: row.try_get("seq")?,
        shard: Shard::of(&key),
        predecessor: None,
        topic: row.try_get("topic")?,
        key,
        headers: headers::decode(encoded),
        payload: row.try_get("payload")?,
    })
}

fn unix_millis(at: SystemTime) -> i64 {
    let elapsed = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
