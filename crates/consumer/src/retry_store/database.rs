//! The retry store in a service's database, on whichever engine it is.

use std::sync::Arc;

use sql::database::Database;

use super::RetryStore;
use super::observed::ObservedRetryStore;
use super::operations::Operations;
use super::postgres::PostgresRetryStore;
use super::sqlite::SqliteRetryStore;

/// The retry store of a consumer; its calls are observed.
pub fn retry_store(database: &Database) -> Arc<dyn RetryStore> {
    match database {
        Database::Sqlite(file) => {
            let retry_store = SqliteRetryStore::new(Arc::clone(file));
            Arc::new(ObservedRetryStore::new(retry_store, file.statements()))
        }
        Database::Postgres(server) => {
            let retry_store = PostgresRetryStore::new(Arc::clone(server));
            Arc::new(ObservedRetryStore::new(retry_store, server.statements()))
        }
    }
}

/// The same for an operator. Not observed: what an operator asks for is rare.
pub fn operations(database: &Database) -> Arc<dyn Operations> {
    match database {
        Database::Sqlite(file) => Arc::new(SqliteRetryStore::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(PostgresRetryStore::new(Arc::clone(server))),
    }
}
