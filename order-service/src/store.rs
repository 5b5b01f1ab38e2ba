//! The order store: orders, their history, and the outbox rows of their events, committed together.
//!
//! [`OrderStore`] is the contract. SQLite and PostgreSQL implement it and contain all SQL; they share everything that does
//! not depend on the engine: the effect of a batch on its orders, and the conversion of rows.

use std::sync::Arc;

use sql::database::Database;
use sql::migrations::{MigrationSet, Migrations};

mod error;
mod open_orders;
mod order_store;

mod saved;
mod tracked;

mod operations;
mod rows;

pub mod postgres;
pub mod sqlite;

pub use error::StoreError;
pub use open_orders::{AuditEntry, NotRepublished, OpenOrders, Publication};
pub use order_store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed,
};

/// Every table of the service's database.
pub const MIGRATIONS: Migrations = &[
    outbox::database::MIGRATIONS,
    consumer::MIGRATIONS,
    MigrationSet {
        owner: "orders",
        sqlite: &sqlite::MIGRATIONS,
        postgres: &postgres::MIGRATIONS,
    },
];

/// The orders without a final state in this database.
pub fn open_orders(database: &Database) -> Arc<dyn OpenOrders> {
    match database {
        Database::Sqlite(file) => Arc::new(sqlite::SqliteStore::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(postgres::PostgresStore::new(Arc::clone(server))),
    }
}

/// Opens the store in this database.
pub fn open(database: &Database) -> Arc<dyn OrderStore> {
    match database {
        Database::Sqlite(file) => Arc::new(sqlite::SqliteStore::new(Arc::clone(file))),
        Database::Postgres(server) => Arc::new(postgres::PostgresStore::new(Arc::clone(server))),
    }
}
