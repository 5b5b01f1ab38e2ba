//! The outbox and its leases on the database of a service, whichever engine it uses.

use std::sync::Arc;

use sql::database::Database;
use sql::migrations::MigrationSet;
use sqlx::migrate::Migrator;

use crate::lease::postgres::PostgresLeases;
use crate::lease::{Leases, SoleOwner};
use crate::outbox::Outbox;
use crate::postgres::PostgresOutbox;
use crate::sqlite::SqliteOutbox;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the outbox and its leases, to be added to the migrations of the service.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "outbox",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// The outbox of this database.
pub fn outbox(database: &Database) -> Arc<dyn Outbox> {
    match database {
        Database::Sqlite(file) => Arc::new(SqliteOutbox::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(PostgresOutbox::new(Arc::clone(server))),
    }
}

/// The leases on the outbox of this database. A SQLite file has one relay, which holds every shard.
pub fn leases(database: &Database) -> Arc<dyn Leases> {
    match database {
        Database::Sqlite(_) => Arc::new(SoleOwner),
        Database::Postgres(server) => Arc::new(PostgresLeases::new(Arc::clone(server))),
    }
}
