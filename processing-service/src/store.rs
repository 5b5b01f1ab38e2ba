//! What processing remembers: sagas, stock, payments, shipments, and the events that follow from them.
//!
//! A store call is one step of a saga and takes place as a whole or not at all: the new state, the stock it moves, the
//! event it announces, and, when the saga ends, the inbox row of the event that caused it. It may be repeated: what
//! was done before is answered with [`Recorded::Duplicate`] and changes nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use outbox::OutboxSignal;
use sql::database::Database;
use sql::migrations::{MigrationSet, Migrations};
use tokio_util::task::TaskTracker;

use crate::catalogue::Catalogue;
use crate::domain::{Demand, Order, OrderId, SagaEvent, SagaState, Sku, StockLevel};

mod transactional;
mod unit_of_work;

mod engine;
mod postgres;
mod sqlite;

mod saga_row;

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

/// The store of this database. Its writer runs on `tracker` until the store is dropped; `signal` is notified after
/// every commit that announces something.
pub fn start(
    database: &Database,
    signal: OutboxSignal,
    tracker: &TaskTracker,
) -> Arc<dyn ProcessingStore> {
    let statements = database.statements();
    match database.clone() {
        Database::Sqlite(file) => {
            let engine = SqliteEngine(file);
            Arc::new(TransactionalStore::start(
                engine, statements, signal, tracker,
            ))
        }
        Database::Postgres(server) => {
            let engine = PostgresEngine(server);
            Arc::new(TransactionalStore::start(
                engine, statements, signal, tracker,
            ))
        }
    }
}

/// The store of this service. Its rules are the tests in `tests/store_contract`, on every database.
#[async_trait]
pub trait ProcessingStore: Send + Sync + 'static {
    /// Begins the saga of an order that has none yet.
    async fn open(&self, order: OpenSaga, cause: Cause) -> Result<Recorded, StoreError>;

    /// Advances a saga by an event. An event that has no place in the saga's state changes nothing.
    async fn advance(
        &self,
        order_id: OrderId,
        event: SagaEvent,
        cause: Cause,
    ) -> Result<Recorded, StoreError>;

    /// Remembers an event that has nothing to change.
    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError>;

    /// How far the order's saga has come; `None` if it has none.
    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError>;

    /// The stock of a SKU; `None` if the catalogue does not have it.
    async fn stock(&self, sku: &Sku) -> Result<Option<StockLevel>, StoreError>;

    /// The stock of those of these SKUs that the catalogue has, as it is now: nothing is held.
    async fn levels(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, StoreError>;

    /// Adds the SKUs that are not there yet and leaves the others as they are. Returns how many were added.
    async fn seed(&self, catalogue: &Catalogue) -> Result<u64, StoreError>;
}

/// An order that enters the store.
#[derive(Clone, Debug)]
pub struct OpenSaga {
    /// Which order.
    pub order_id: OrderId,
    /// The pieces it asks for.
    pub demand: Demand,
    /// What is to be done first.
    pub opening: Opening,
}

impl OpenSaga {
    /// This order, with this beginning.
    pub fn new(order: &Order, opening: Opening) -> Self {
        Self {
            order_id: order.id,
            demand: order.demand.clone(),
            opening,
        }
    }
}

/// The first thing that happens to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Its pieces are set aside, or it is rejected for want of them.
    Reserve,
    /// It was cancelled before anything was done for it.
    Cancel,
}

/// The consumed event that makes a step happen.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Remembered when the step ends the saga.
    pub event: InboxEntry,
    /// W3C trace headers of the span that handles the event: they become part of what it announces.
    pub trace: Arc<[(String, String)]>,
}

/// How a step was recorded. Both carry the state in which the saga is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// By this call.
    New(SagaState),
    /// Nothing was changed: it was done before, or another outcome was decided first.
    Duplicate(SagaState),
}

impl Recorded {
    /// The state in which the saga is now.
    pub fn state(self) -> SagaState {
        match self {
            Self::New(state) | Self::Duplicate(state) => state,
        }
    }
}

/// Why a step was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed. The step may have been recorded all the same: repeat it.
    #[error("the database")]
    Database(#[from] sqlx::Error),
    /// The service is stopping, or the transaction that the step shared failed as a whole. The step may have been
    /// recorded all the same: repeat it.
    #[error("the store's writer did not answer")]
    Unanswered,
    /// Stock changed between looking and taking: repeat the step.
    #[error("stock changed under the transaction")]
    StockChanged,
    /// Another replica opened the saga between looking and writing: repeat the step.
    #[error("a saga was opened under the transaction")]
    SagaOpened,
    /// An event came for a saga that was never opened.
    #[error("order {0} has no saga")]
    NoSaga(OrderId),
    /// A row holds what this service never writes.
    #[error("the saga of order {0} is damaged")]
    Damaged(OrderId),
}

impl StoreError {
    /// Whether the same step may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(_) | Self::Unanswered | Self::StockChanged | Self::SagaOpened => true,
            Self::NoSaga(_) | Self::Damaged(_) => false,
        }
    }
}
