//! The retry store in a service's database, on either engine, and the migrations of its tables and of the inbox.

use std::sync::Arc;

use sql::database::Database;
use sql::migrations::MigrationSet;
use sqlx::migrate::Migrator;

use super::RetryStore;
use super::operations::Operations;
use super::postgres::PostgresRetryStore;
use super::sqlite::SqliteRetryStore;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the retry store and the inbox. A service applies them beside its own migrations.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "consumer",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// The retry store of a consumer.
pub fn retry_store(database: &Database) -> Arc<dyn RetryStore> {
    match database {
        Database::Sqlite(file) => Arc::new(SqliteRetryStore::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(PostgresRetryStore::new(Arc::clone(server))),
    }
}

/// The operations of an operator on the same tables.
pub fn operations(database: &Database) -> Arc<dyn Operations> {
    match database {
        Database::Sqlite(file) => Arc::new(SqliteRetryStore::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(PostgresRetryStore::new(Arc::clone(server))),
    }
}
