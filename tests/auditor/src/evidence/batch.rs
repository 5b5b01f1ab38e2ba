//! Batched inserts, many rows per statement.

use anyhow::Result;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

/// Values per statement: below SQLite's limit of 32,766.
const VALUES: usize = 16_000;

/// A value of a row.
#[derive(Debug)]
pub(super) enum SqlValue {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Rows for one table.
pub(super) struct RowBatch {
    table: &'static str,
    columns: usize,
    rows: Vec<Vec<SqlValue>>,
}

impl RowBatch {
    /// An empty batch for a table with this many columns.
    pub(super) fn new(table: &'static str, columns: usize) -> Self {
        let rows = Vec::new();
        Self {
            table,
            columns,
            rows,
        }
    }

    /// Adds a row, and writes the batch when it is full.
    pub(super) async fn push(
        &mut self,
        connection: &mut SqliteConnection,
        row: Vec<SqlValue>,
    ) -> Result<()> {
        self.rows.push(row);
        if self.rows.len() * self.columns >= VALUES {
            self.write(connection).await?;
        }
        Ok(())
    }

    /// Writes the remaining rows.
    pub(super) async fn write(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO temp.{} ", self.table));
        insert.push_values(self.rows.drain(..), |mut row, values| {
            for value in values {
                match value {
                    SqlValue::Null => row.push_bind(None::<i64>),
                    SqlValue::Integer(number) => row.push_bind(number),
                    SqlValue::Text(text) => row.push_bind(text),
                    SqlValue::Bytes(bytes) => row.push_bind(bytes),
                };
            }
        });
        // Not kept prepared: batches of every size would fill the statement cache.
        insert.build().persistent(false).execute(connection).await?;
        Ok(())
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for SqlValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<uuid::Uuid> for SqlValue {
    fn from(id: uuid::Uuid) -> Self {
        Self::Bytes(id.into_bytes().to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
