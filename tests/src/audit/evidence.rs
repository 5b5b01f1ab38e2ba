//! Both databases and the journal, side by side on one read-only connection.
//!
//! | schema | holds |
//! |---|---|
//! | `main` | the database of order-service |
//! | `processing` | the database of processing-service |
//! | `temp` | the journal: `confirmed` (order_id, request_id, customer_id, invoice) and `shown` (order_id, status, rejection_reason) |

use std::path::Path;

use anyhow::Context;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::Databases;
use super::database::{Files, read_only};
use crate::replay::journal::{self, Accepted, Final, Line};

/// Journal lines per INSERT: four values each, far below SQLite's limit of 32,766 per statement.
const BATCH: usize = 1_000;

/// What the audit looks at.
#[derive(Debug)]
pub struct Evidence {
    pub(super) connection: SqliteConnection,
    _files: Files,
}

impl Evidence {
    /// Opens the databases and reads the journal. From here on the picture does not change.
    pub async fn open(databases: &Databases, journal: Option<&Path>) -> anyhow::Result<Self> {
        let files = databases.as_files().await?;
        let mut connection = connect(&files).await?;
        sqlx::raw_sql(
            "CREATE TEMP TABLE confirmed (order_id BLOB, request_id BLOB, customer_id TEXT, invoice TEXT);
             CREATE TEMP TABLE shown (order_id BLOB, status TEXT, rejection_reason TEXT);",
        )
        .execute(&mut connection)
        .await?;
        match journal {
            Some(journal) => load(&mut connection, journal).await?,
            None => confirm_everything(&mut connection).await?,
        }
        sqlx::raw_sql(
            "CREATE INDEX temp.confirmed_by_order ON confirmed (order_id);
             BEGIN;
             SELECT count(*) FROM main.outbox;
             SELECT count(*) FROM processing.outbox;",
        )
        .execute(&mut connection)
        .await?;
        Ok(Self {
            connection,
            _files: files,
        })
    }

    pub(super) async fn orders(&mut self) -> anyhow::Result<u64> {
        self.count("SELECT count(*) FROM orders").await
    }

    pub(super) async fn unknown_orders(&mut self) -> anyhow::Result<u64> {
        self.count(
            "SELECT count(*) FROM orders WHERE order_id NOT IN (SELECT order_id FROM confirmed)",
        )
        .await
    }

    async fn count(&mut self, sql: &'static str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(count.try_into()?)
    }
}

/// A read-only connection to both databases.
async fn connect(files: &Files) -> anyhow::Result<SqliteConnection> {
    let mut connection = read_only(&files.orders).await?;
    // Attached databases are opened as the connection was: read-only, and never created.
    sqlx::query("ATTACH DATABASE ? AS processing")
        .bind(files.processing.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .with_context(|| format!("cannot read the database {}", files.processing.display()))?;
    Ok(connection)
}

async fn confirm_everything(connection: &mut SqliteConnection) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO confirmed SELECT order_id, request_id, customer_id, NULL FROM orders")
        .execute(connection)
        .await?;
    Ok(())
}

async fn load(connection: &mut SqliteConnection, journal: &Path) -> anyhow::Result<()> {
    let mut confirmed = Vec::with_capacity(BATCH);
    let mut shown = Vec::with_capacity(BATCH);
    for line in journal::read(journal)? {
        match line? {
            Line::Accepted(accepted) => confirmed.push(accepted),
            Line::Final(last) => shown.push(last),
        }
        if confirmed.len() == BATCH {
            insert_confirmed(connection, &mut confirmed).await?;
        }
        if shown.len() == BATCH {
            insert_shown(connection, &mut shown).await?;
        }
    }
    insert_confirmed(connection, &mut confirmed).await?;
    insert_shown(connection, &mut shown).await
}

async fn insert_confirmed(
    connection: &mut SqliteConnection,
    batch: &mut Vec<Accepted>,
) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = batch
        .drain(..)
        .map(|line| anyhow::Ok((blob(&line.order_id)?, blob(&line.request_id)?, line)))
        .collect::<Result<_, _>>()?;
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO confirmed ");
    insert.push_values(rows, |mut row, (order_id, request_id, line)| {
        row.push_bind(order_id)
            .push_bind(request_id)
            .push_bind(line.customer_id)
            .push_bind(line.invoice);
    });
    insert.build().execute(connection).await?;
    Ok(())
}

async fn insert_shown(
    connection: &mut SqliteConnection,
    batch: &mut Vec<Final>,
) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = batch
        .drain(..)
        .map(|line| anyhow::Ok((blob(&line.order_id)?, line)))
        .collect::<Result<_, _>>()?;
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO shown ");
    insert.push_values(rows, |mut row, (order_id, line)| {
        row.push_bind(order_id)
            .push_bind(line.status)
            .push_bind(line.rejection_reason);
    });
    insert.build().execute(connection).await?;
    Ok(())
}

/// Ids are 16 bytes in the databases.
fn blob(id: &str) -> anyhow::Result<Vec<u8>> {
    let id = Uuid::try_parse(id).with_context(|| format!("{id:?} in the journal is no UUID"))?;
    Ok(id.into_bytes().to_vec())
}

/// An id of the databases as people write it.
pub(super) fn uuid(blob: &[u8]) -> String {
    Uuid::from_slice(blob).map_or_else(|_| format!("{blob:02x?}"), |id| id.to_string())
}
