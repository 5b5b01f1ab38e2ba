//! The statements on the outbox table, prepared for measuring, and the rows that they read.

use std::sync::Arc;

use kafka::headers;
use sql::statements::{Query, Statement, Statements};
use sqlx::FromRow;

use crate::outbox::{OutboxRecord, OutboxRow};
use crate::shard::Shard;

/// One prepared statement per operation of an outbox. The relay polls outside of any trace, so these calls are measured
/// and rarely have a span.
#[derive(Clone, Debug)]
pub(crate) struct OutboxStatements {
    pub(crate) positions: Statement,
    pub(crate) read: Statement,
    pub(crate) delete: Statement,
    pub(crate) note_blocked: Statement,
    pub(crate) backlog: Statement,
}

impl OutboxStatements {
    pub(crate) fn new(statements: &Statements) -> Self {
        let prepare = |summary| statements.prepare(Query::on(summary));
        Self {
            positions: prepare("SELECT outbox positions"),
            read: prepare("SELECT outbox"),
            delete: prepare("DELETE outbox"),
            note_blocked: prepare("UPDATE outbox"),
            backlog: prepare("SELECT outbox backlog"),
        }
    }
}

/// A row as it is stored. On SQLite, which has one relay, shard and predecessor are not stored.
#[derive(Debug, FromRow)]
pub(crate) struct StoredRow {
    seq: i64,
    #[sqlx(default)]
    shard: Option<i16>,
    #[sqlx(default)]
    predecessor: Option<i64>,
    topic: String,
    key: String,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

impl From<StoredRow> for OutboxRow {
    fn from(row: StoredRow) -> Self {
        let shard = row.shard.map(Shard::numbered);
        let (headers, damaged) = match headers::decode(&row.headers) {
            Ok(headers) => (headers, None),
            Err(damage) => (Vec::new(), Some(damage)),
        };
        Self {
            seq: row.seq,
            shard: shard.unwrap_or_else(|| Shard::of(&row.key)),
            predecessor: row.predecessor,
            record: Arc::new(OutboxRecord {
                topic: row.topic.into(),
                key: row.key,
                headers,
                payload: row.payload,
            }),
            damaged,
        }
    }
}
