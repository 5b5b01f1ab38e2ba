//! The outbox and its leases in a service's database, on whichever engine it is. Their calls are observed.

use std::sync::Arc;

use sql::database::Database;
use sql::migrations::MigrationSet;
use sqlx::migrate::Migrator;

use crate::Outbox;
use crate::lease::postgres::PostgresLeases;
use crate::lease::{Leases, SoleOwner};
use crate::observed::{ObservedLeases, ObservedOutbox};
use crate::postgres::PostgresOutbox;
use crate::sqlite::SqliteOutbox;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the outbox.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "outbox",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// The outbox in this database.
pub fn outbox(database: &Database) -> Arc<dyn Outbox> {
    match database {
        Database::Sqlite(file) => {
            let outbox = SqliteOutbox::new(Arc::clone(file));
            Arc::new(ObservedOutbox::new(outbox, file.statements()))
        }
        Database::Postgres(server) => {
            let outbox = PostgresOutbox::new(Arc::clone(server));
            Arc::new(ObservedOutbox::new(outbox, server.statements()))
        }
    }
}

/// The leases on the outbox in this database.
pub fn leases(database: &Database) -> Arc<dyn Leases> {
    match database {
        Database::Sqlite(_) => Arc::new(SoleOwner),
        Database::Postgres(server) => {
            let leases = PostgresLeases::new(Arc::clone(server));
            Arc::new(ObservedLeases::new(leases, server.statements()))
        }
    }
}
