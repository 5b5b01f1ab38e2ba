//! The retry store in a service's database, on whichever engine it is.

use std::sync::Arc;

use sql::database::Database;

use super::Parking;
use super::observed::ObservedParking;
use super::operations::Operations;
use super::postgres::PostgresParking;
use super::sqlite::SqliteParking;

/// The retry store of a consumer; its calls are observed.
pub fn retry_store(database: &Database) -> Arc<dyn Parking> {
    match database {
        Database::Sqlite(file) => {
            let parking = SqliteParking::new(Arc::clone(file));
            Arc::new(ObservedParking::new(parking, file.statements()))
        }
        Database::Postgres(server) => {
            let parking = PostgresParking::new(Arc::clone(server));
            Arc::new(ObservedParking::new(parking, server.statements()))
        }
    }
}

/// The same for an operator. Not observed: what an operator asks for is rare.
pub fn operations(database: &Database) -> Arc<dyn Operations> {
    match database {
        Database::Sqlite(file) => Arc::new(SqliteParking::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(PostgresParking::new(Arc::clone(server))),
    }
}
