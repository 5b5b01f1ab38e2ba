//! All data on one read-only connection, so that a rule is a query.
//!
//! | schema | holds |
//! |---|---|
//! | `main` | the database of order-service |
//! | `processing` | the database of processing-service |
//! | `temp` | the journal, the topics, and tables derived from all data: see `evidence/tables.sql` |

mod batch;
mod blob_id;
mod bodies;
mod journal;
mod records;
mod retry_events;

use anyhow::{Context as _, Result};
use sqlx::SqliteConnection;

pub(crate) use self::blob_id::uuid;
use crate::Inputs;
use crate::database::{Files, read_only};
use crate::owner;

/// The tables in `temp`.
const TABLES: &str = include_str!("evidence/tables.sql");

/// Memory for pages, in KiB and up to that: with SQLite's 2 MiB, the random keys of a million orders are read from files again
/// and again. What is loaded is not changed again, so it needs no journal.
const CACHES: &str = "
    PRAGMA main.cache_size = -131072; PRAGMA processing.cache_size = -131072; PRAGMA temp.cache_size = -524288;
    PRAGMA temp.journal_mode = OFF";

/// Indexes and derived tables, created after loading.
const DERIVED: &str = include_str!("evidence/derived.sql");

#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) connection: SqliteConnection,
    /// Truncated lines at the end of the journal.
    pub(crate) truncated_lines: u64,
    _files: Files,
}

impl Evidence {
    /// Opens the databases and reads the files: a snapshot that does not change afterwards.
    pub(crate) async fn gather(inputs: &Inputs) -> Result<Self> {
        let files = inputs.databases.as_files().await?;
        let mut connection = connect(&files).await?;
        owner::check(&mut connection, &inputs.topic_prefix).await?;
        sqlx::raw_sql(CACHES).execute(&mut connection).await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        // The first reads start the snapshot of both databases, which lasts until the connection is closed.
        sqlx::raw_sql(
            "BEGIN; SELECT count(*) FROM main.outbox; SELECT count(*) FROM processing.outbox",
        )
        .execute(&mut connection)
        .await?;
        let truncated_lines = match &inputs.journal {
            Some(journal) => journal::load(&mut connection, journal).await?,
            None => journal::confirm_everything(&mut connection).await?,
        };
        bodies::load(&mut connection).await?;
        records::load(&mut connection, &inputs.topics, &inputs.topic_prefix).await?;
        retry_events::load(&mut connection, &inputs.topic_prefix).await?;
        sqlx::raw_sql(DERIVED).execute(&mut connection).await?;
        Ok(Self {
            connection,
            truncated_lines,
            _files: files,
        })
    }

    pub(crate) async fn number(&mut self, sql: &'static str) -> Result<u64> {
        let number: Option<i64> = sqlx::query_scalar(sql)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(number.unwrap_or_default().try_into()?)
    }
}

/// A read-only connection to both databases.
async fn connect(files: &Files) -> Result<SqliteConnection> {
    let mut connection = read_only(&files.orders).await?;
    // Attached databases are opened in the mode of the connection: read-only and never created.
    sqlx::query("ATTACH DATABASE ? AS processing")
        .bind(files.processing.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .with_context(|| format!("cannot read the database {}", files.processing.display()))?;
    Ok(connection)
}
