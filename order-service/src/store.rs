//! The order store: orders, their history, and the outbox rows of their events, committed together.
//!
//! [`OrderStore`] is the contract. SQLite and PostgreSQL implement it and contain all SQL; they share everything that does
//! not depend on the engine: the effect of a batch on its orders, and the conversion of rows.

use std::sync::Arc;

use outbox::HandOver;
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
    Applied, ApplyOutcome, CancelOrder, CancelReply, Committed, History, OrderStore, PlaceOrder,
    Placed,
};

use postgres::PostgresStore;
use sqlite::SqliteStore;

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

/// The orders without a final state in this database. Events that are published again are found by the relay's poll.
pub fn open_orders(database: &Database) -> Arc<dyn OpenOrders> {
    match database.clone() {
        Database::Sqlite(file) => Arc::new(SqliteStore::new(file, HandOver::default())),
        Database::Postgres(server) => Arc::new(PostgresStore::new(server, HandOver::default())),
    }
}

/// Opens the store in this database. The relay of this process takes the rows of its commits from `hand_over`.
pub fn open(database: &Database, hand_over: HandOver) -> Arc<dyn OrderStore> {
    match database.clone() {
        Database::Sqlite(file) => Arc::new(SqliteStore::new(file, hand_over)),
        Database::Postgres(server) => Arc::new(PostgresStore::new(server, hand_over)),
    }
}
