//! Copies a PostgreSQL database into a SQLite file: same tables, same columns, same values.
//!
//! | PostgreSQL | SQLite |
//! |---|---|
//! | `uuid`, `bytea` | the bytes |
//! | whole numbers | integer |
//! | everything else | its text |

use std::path::Path;

use anyhow::Result;
use futures::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, QueryBuilder, Row as _,
    Sqlite, SqliteConnection,
};

use super::database;

/// SQLite takes up to 32,766 values per statement.
const VALUES: usize = 32_000;

/// All tables but the version tables of the migrations, which start with an underscore (`_outbox_migrations`).
const TABLES: &str = "
    SELECT table_name::text, array_agg(column_name::text ORDER BY ordinal_position),
           array_agg(data_type::text ORDER BY ordinal_position)
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_%'
    GROUP BY table_name";

/// Copies a consistent snapshot of all tables into a new file.
pub(super) async fn make(url: &str, file: &Path) -> Result<()> {
    let mut source = database::connect(url).await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut source)
        .await?;
    let mut target = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        // An unfinished copy is useless, so no journal is needed.
        .journal_mode(SqliteJournalMode::Off)
        .connect()
        .await?;
    for table in tables(&mut source).await? {
        table.create(&mut target).await?;
        table.copy(&mut source, &mut target).await?;
        table.index(&mut target).await?;
    }
    target.close().await?;
    Ok(())
}

struct CopiedTable {
    name: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: Kind,
    /// The SELECT expression.
    read: String,
}

/// How SQLite stores a value.
#[derive(Clone, Copy)]
enum Kind {
    Bytes,
    Integer,
    Text,
}

async fn tables(source: &mut PgConnection) -> Result<Vec<CopiedTable>> {
    let rows: Vec<(String, Vec<String>, Vec<String>)> =
        sqlx::query_as(TABLES).fetch_all(source).await?;
    let tables = rows.into_iter().map(|(name, columns, types)| CopiedTable {
        name,
        columns: columns
            .into_iter()
            .zip(types)
            .map(|(name, data_type)| Column::new(name, &data_type))
            .collect(),
    });
    Ok(tables.collect())
}

impl Column {
    fn new(name: String, data_type: &str) -> Self {
        let (kind, read) = match data_type {
            "uuid" => (Kind::Bytes, format!("uuid_send({name})")),
            "bytea" => (Kind::Bytes, name.clone()),
            "smallint" | "integer" | "bigint" => (Kind::Integer, format!("{name}::bigint")),
            _ => (Kind::Text, format!("{name}::text")),
        };
        Self { name, kind, read }
    }
}

impl CopiedTable {
    /// Columns have no type, so each value keeps its own.
    async fn create(&self, target: &mut SqliteConnection) -> Result<()> {
        let columns: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        let sql = format!("CREATE TABLE {} ({})", self.name, columns.join(", "));
        // Safe: the names come from the services' own migrations.
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(target).await?;
        Ok(())
    }

    /// The rules look rows up by order. Sorting all rows at once is faster than inserting each into an index.
    async fn index(&self, target: &mut SqliteConnection) -> Result<()> {
        let name = &self.name;
        for key in ["order_id", "entity_id"] {
            if self.columns.iter().any(|column| column.name == key) {
                let sql = format!("CREATE INDEX {name}_by_{key} ON {name} ({key})");
                sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut *target)
                    .await?;
            }
        }
        Ok(())
    }

    async fn copy(&self, source: &mut PgConnection, target: &mut SqliteConnection) -> Result<()> {
        let columns: Vec<&str> = self.columns.iter().map(|column| &*column.read).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), self.name);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(source);
        let batch = VALUES / self.columns.len();
        let mut waiting = Vec::with_capacity(batch);
        while let Some(row) = rows.try_next().await? {
            waiting.push(row);
            if waiting.len() == batch {
                self.insert(&mut waiting, target).await?;
            }
        }
        self.insert(&mut waiting, target).await
    }

    async fn insert(&self, rows: &mut Vec<PgRow>, target: &mut SqliteConnection) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {} ", self.name));
        insert.push_values(rows.drain(..), |mut values, row| {
            for (index, column) in self.columns.iter().enumerate() {
                match column.kind {
                    Kind::Bytes => values.push_bind(row.get::<Option<Vec<u8>>, _>(index)),
                    Kind::Integer => values.push_bind(row.get::<Option<i64>, _>(index)),
                    Kind::Text => values.push_bind(row.get::<Option<String>, _>(index)),
                };
            }
        });
        insert.build().execute(target).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_value_is_copied_with_its_type() {
        let server = postgres_server::shared();
        server.create_database("to_copy").unwrap();
        let url = server.url("to_copy");
        let mut source = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE things (order_id UUID, bytes BYTEA, small SMALLINT, big BIGINT, name TEXT);
             INSERT INTO things VALUES
               ('0102030405060708090a0b0c0d0e0f10', '\\x786400', 7, -9000000000, 'x''y'),
               (NULL, '', NULL, NULL, NULL)",
        )
        .execute(&mut source)
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.db");

        make(&url, &file).await.unwrap();

        let mut copy = super::super::database::read_only(&file).await.unwrap();
        let rows: Vec<String> = sqlx::query_scalar(
            "SELECT quote(order_id) || quote(bytes) || quote(small) || quote(big) || quote(name) FROM things",
        )
        .fetch_all(&mut copy)
        .await
        .unwrap();
        assert_eq!(
            rows,
            [
                "X'0102030405060708090A0B0C0D0E0F10'X'786400'7-9000000000'x''y'",
                "NULLX''NULLNULLNULL",
            ]
        );
    }
}
