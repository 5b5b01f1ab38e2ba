//! Storage: sagas, stock, payments, shipments, and the outbox and inbox rows that belong to them.
//!
//! * [`processing_store`]: the trait with its commands, replies and errors;
//! * `transactional`: its implementation for both engines, one transaction for a batch of steps;
//! * `unit_of_work`: the changes of one batch, computed in memory;
//! * `engine`, `postgres`, `sqlite`: reads, locks and writes of rows; all SQL is here.

use std::sync::Arc;

use outbox::HandOver;
use sql::database::Database;
use sql::migrations::{MigrationSet, Migrations};
use tokio_util::task::TaskTracker;

pub mod processing_store;

mod transactional;
mod unit_of_work;

mod engine;
mod postgres;
mod sqlite;

mod rows;

pub use processing_store::{Cause, OpenSaga, Opening, ProcessingStore, Recorded, StoreError};

use postgres::PostgresEngine;
use sqlite::SqliteEngine;
use transactional::TransactionalStore;

/// The schema, for each engine.
pub const MIGRATIONS: Migrations = &[
    outbox::database::MIGRATIONS,
    consumer::MIGRATIONS,
    MigrationSet {
        owner: "processing",
        sqlite: &sqlite::MIGRATIONS,
        postgres: &postgres::MIGRATIONS,
    },
];

/// Opens the store on a database. Its writer runs on `tracker` until the store is dropped. The relay of this process takes
/// the rows of its commits from `hand_over`.
pub fn open(
    database: &Database,
    hand_over: HandOver,
    tracker: &TaskTracker,
) -> Arc<dyn ProcessingStore> {
    let statements = database.statements();
    match database.clone() {
        Database::Sqlite(file) => {
            let engine = SqliteEngine(file);
            Arc::new(TransactionalStore::start(
                engine, statements, hand_over, tracker,
            ))
        }
        Database::Postgres(server) => {
            let engine = PostgresEngine(server);
            Arc::new(TransactionalStore::start(
                engine, statements, hand_over, tracker,
            ))
        }
    }
}
