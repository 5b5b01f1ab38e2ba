//! The outbox on SQLite. The database has one writer, so `seq` is the commit order: no row becomes visible below one that
//! was already read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::hand_over::{InsertedRows, PendingRows};
use crate::outbox::{BLOCKED_APART, Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow};
use crate::shard::Shard;
use crate::statements::{OutboxStatements, StoredRow};
use kafka::headers;
use sql::columns::{signed, unix_millis};
use sql::sqlite::{Row, Sqlite, for_keys, multi_row};

/// Writes events in the caller's transaction, next to the state that they announce.
///
/// # Errors
/// When the database fails; the caller's transaction must then be rolled back.
pub async fn insert(
    connection: &mut SqliteConnection,
    records: &[Arc<OutboxRecord>],
) -> Result<InsertedRows, sqlx::Error> {
    let pending = PendingRows::new(records.iter().cloned());
    let now = unix_millis(SystemTime::now());
    let insert = "INSERT INTO outbox (topic, key, headers, payload, created_at) ";
    let bind = |mut row: Row<'_>, record: &Arc<OutboxRecord>| {
        row.push_bind(record.topic.as_ref())
            .push_bind(record.key.as_str())
            .push_bind(headers::encode(&record.headers))
            .push_bind(record.payload.as_slice())
            .push_bind(now);
    };
    let mut returned = Vec::with_capacity(records.len());
    for mut statement in multi_row(insert, records, bind, " RETURNING seq, key") {
        let rows: Vec<(i64, String)> = statement
            .build_query_as()
            .fetch_all(&mut *connection)
            .await?;
        returned.extend(rows.into_iter().map(|(seq, key)| (seq, key, None)));
    }
    Ok(pending.inserted(returned))
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
    /// The only relay holds all shards.
    async fn positions(
        &self,
        _shards: &[Shard],
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, OutboxError> {
        let positions =
            sqlx::query_scalar("SELECT seq FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?")
                .bind(after)
                .bind(limit)
                .fetch_all(self.database.reader());
        Ok(self.statements.positions.run(positions).await?)
    }

    async fn read(&self, positions: &[i64]) -> Result<Vec<OutboxRow>, OutboxError> {
        let read = async {
            let select = "SELECT seq, topic, key, headers, payload FROM outbox WHERE seq IN";
            let mut rows: Vec<StoredRow> = Vec::with_capacity(positions.len());
            for mut statement in for_keys(select, positions, |seq| *seq) {
                let read = statement.push(" ORDER BY seq").build_query_as();
                rows.extend(read.fetch_all(self.database.reader()).await?);
            }
            Ok::<_, sqlx::Error>(rows)
        };
        let rows = self.statements.read.run(read).await?;
        Ok(rows.into_iter().map(OutboxRow::from).collect())
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let delete = async {
            let mut transaction = self.database.begin().await?;
            for mut statement in
                for_keys("DELETE FROM outbox WHERE seq IN", acknowledged, |seq| *seq)
            {
                statement.build().execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        };
        self.statements.delete.run(delete).await
    }

    async fn note_blocked(&self, rows: &[i64]) -> Result<(), OutboxError> {
        let note = async {
            let now = unix_millis(SystemTime::now());
            let mut transaction = self.database.begin().await?;
            for seq in rows {
                sqlx::query(
                    "UPDATE outbox SET blocked_at = ? WHERE seq = ? AND blocked_at IS NULL",
                )
                .bind(now)
                .bind(seq)
                .execute(&mut *transaction)
                .await?;
            }
            Ok(transaction.commit().await?)
        };
        self.statements.note_blocked.run(note).await
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        let backlog = sqlx::query_as(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ?)), \
                    (SELECT created_at FROM outbox \
                     WHERE key NOT IN (SELECT key FROM outbox WHERE blocked_at IS NOT NULL LIMIT ?) \
                     ORDER BY seq LIMIT 1)",
        )
        .bind(signed(at_most))
        .bind(BLOCKED_APART)
        .fetch_one(self.database.reader());
        let (rows, oldest): (i64, Option<i64>) = self.statements.backlog.run(backlog).await?;
        let waited = oldest.map_or(0, |created| unix_millis(SystemTime::now()) - created);
        Ok(Backlog {
            rows: rows.unsigned_abs(),
            // A clock that was set back must not show up as an age of centuries.
            oldest: Duration::from_millis(u64::try_from(waited).unwrap_or(0)),
        })
    }

    fn has_other_writers(&self) -> bool {
        false
    }
}
