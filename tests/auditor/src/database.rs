//! The databases of both services, on either engine.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::copy;

#[derive(Clone, Debug)]
pub struct Databases {
    pub orders: Database,
    pub processing: Database,
}

/// The location of a database.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(PathBuf),
    /// The URL.
    Postgres(String),
}

/// A read-only connection.
#[derive(Debug)]
pub enum DatabaseReader {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Both databases as SQLite files: the originals, or copies that are deleted when this is dropped.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) orders: PathBuf,
    pub(super) processing: PathBuf,
    _copies: TempDir,
}

impl FromStr for Database {
    type Err = Error;

    /// Reads `sqlite://PATH` or `postgres://…`.
    fn from_str(url: &str) -> Result<Self> {
        match url.split_once("://") {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.to_owned())),
            _ => bail!("expected sqlite://PATH or postgres://…"),
        }
    }
}

impl Databases {
    /// The files to audit. PostgreSQL databases are copied to SQLite files, so that one set of rules is enough.
    pub(super) async fn as_files(&self) -> Result<Files> {
        let copies =
            tempfile::tempdir().context("cannot create a directory for database copies")?;
        let at = |name| copies.path().join(name);
        Ok(Files {
            orders: self.orders.as_file(at("orders.db")).await?,
            processing: self.processing.as_file(at("processing.db")).await?,
            _copies: copies,
        })
    }
}

impl Database {
    async fn as_file(&self, copy: PathBuf) -> Result<PathBuf> {
        match self {
            Self::Sqlite(path) => Ok(path.clone()),
            Self::Postgres(url) => {
                copy::make(url, &copy)
                    .await
                    .context("cannot copy a PostgreSQL database for the audit")?;
                Ok(copy)
            }
        }
    }

    /// # Errors
    /// When the database is missing or unreachable.
    pub async fn reader(&self) -> Result<DatabaseReader> {
        match self {
            Self::Sqlite(path) => Ok(DatabaseReader::Sqlite(read_only(path).await?)),
            Self::Postgres(url) => {
                let connection = connect(url).await;
                let connection = connection.context("cannot reach the PostgreSQL database")?;
                Ok(DatabaseReader::Postgres(connection))
            }
        }
    }
}

impl DatabaseReader {
    /// Runs a query for one number; its SQL must be valid on both engines.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn number(&mut self, sql: &'static str) -> Result<i64> {
        let query = sqlx::query_scalar(sql);
        Ok(match self {
            Self::Sqlite(connection) => query.fetch_one(connection).await?,
            Self::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await?,
        })
    }
}

/// Also through PgBouncer, which refuses a start-up parameter that the driver sends by default.
pub(super) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.extra_float_digits(None);
    options.connect().await
}

pub(super) async fn read_only(path: &Path) -> Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .connect()
        .await
        .with_context(|| format!("cannot read the database {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_selects_the_engine() {
        let read = |url: &str| url.parse::<Database>();

        assert!(
            matches!(read("sqlite:///a/b.db"), Ok(Database::Sqlite(path)) if path.is_absolute())
        );
        assert!(matches!(
            read("postgres://u:p@h/d"),
            Ok(Database::Postgres(_))
        ));
        for nonsense in ["", "orders.db", "sqlite://", "mysql://h/d"] {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }
}
