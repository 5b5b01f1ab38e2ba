//! Statements with one text for both engines.
//!
//! The text is PostgreSQL's. SQLite has no stored functions, so there `unix_millis()` is replaced by an expression.

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query as DriverQuery;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Encode, FromRow, PgConnection, SqliteConnection, Transaction, Type};
use sqlx::{Postgres, Sqlite};

use sql::database::Database;
use sql::sqlite::WriteTransaction;

/// `unix_millis()` on SQLite: the clock of the machine, which all processes share.
const SQLITE_NOW: &str = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";

/// A connection to either engine. Dropping it without [`Connection::commit`] rolls a transaction back.
pub(super) enum Connection {
    SqliteReader(PoolConnection<Sqlite>),
    Sqlite(WriteTransaction),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

impl Connection {
    /// For reads, which see the last commit.
    pub(super) async fn read(database: &Database) -> Result<Self, sqlx::Error> {
        Ok(match database {
            Database::Sqlite(file) => Self::SqliteReader(file.reader().acquire().await?),
            Database::Postgres(server) => Self::Postgres(server.pool().acquire().await?),
        })
    }

    /// For one statement: PostgreSQL commits it without further round trips.
    pub(super) async fn statement(database: &Database) -> Result<Self, sqlx::Error> {
        Ok(match database {
            Database::Sqlite(file) => Self::Sqlite(file.begin().await?),
            Database::Postgres(server) => Self::Postgres(server.pool().acquire().await?),
        })
    }

    pub(super) async fn transaction(database: &Database) -> Result<Self, sqlx::Error> {
        Ok(match database {
            Database::Sqlite(file) => Self::Sqlite(file.begin().await?),
            Database::Postgres(server) => Self::PostgresTransaction(server.pool().begin().await?),
        })
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::SqliteReader(_) | Self::Postgres(_) => Ok(()),
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::PostgresTransaction(transaction) => transaction.commit().await,
        }
    }

    pub(super) fn query(&mut self, sql: &'static str) -> Query<'_> {
        match self {
            Self::SqliteReader(connection) => Query::on_sqlite(connection, sql),
            Self::Sqlite(transaction) => Query::on_sqlite(transaction, sql),
            Self::Postgres(connection) => Query::Postgres(connection, sqlx::query(sql)),
            Self::PostgresTransaction(connection) => Query::Postgres(connection, sqlx::query(sql)),
        }
    }
}

/// A parameter of both engines.
pub(super) trait Value<'q>:
    Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres>
{
}

impl<'q, T> Value<'q> for T where
    T: Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres>
{
}

/// A row of both engines.
pub(super) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> {}

/// A statement and its parameters.
pub(super) enum Query<'c> {
    Sqlite(
        &'c mut SqliteConnection,
        DriverQuery<'c, Sqlite, SqliteArguments>,
    ),
    Postgres(&'c mut PgConnection, DriverQuery<'c, Postgres, PgArguments>),
}

impl<'c> Query<'c> {
    fn on_sqlite(connection: &'c mut SqliteConnection, sql: &'static str) -> Self {
        // Safe: both texts are constants.
        let sql = AssertSqlSafe(sql.replace("unix_millis()", SQLITE_NOW));
        Self::Sqlite(connection, sqlx::query(sql))
    }

    pub(super) fn bind<'q>(self, value: impl Value<'q>) -> Self {
        match self {
            Self::Sqlite(connection, query) => Self::Sqlite(connection, query.bind(value)),
            Self::Postgres(connection, query) => Self::Postgres(connection, query.bind(value)),
        }
    }

    pub(super) async fn execute(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection, query) => query.execute(connection).await.map(drop),
            Self::Postgres(connection, query) => query.execute(connection).await.map(drop),
        }
    }

    pub(super) async fn fetch_all<T: Row>(self) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite(connection, query) => {
                let rows = query.fetch_all(connection).await?;
                rows.iter().map(|row| T::from_row(row)).collect()
            }
            Self::Postgres(connection, query) => {
                let rows = query.fetch_all(connection).await?;
                rows.iter().map(|row| T::from_row(row)).collect()
            }
        }
    }

    pub(super) async fn fetch_optional<T: Row>(self) -> Result<Option<T>, sqlx::Error> {
        Ok(self.fetch_all().await?.pop())
    }

    pub(super) async fn fetch_one<T: Row>(self) -> Result<T, sqlx::Error> {
        self.fetch_optional().await?.ok_or(sqlx::Error::RowNotFound)
    }
}
