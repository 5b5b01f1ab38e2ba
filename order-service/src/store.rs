//! Where orders are kept: the rules that every database has to honour, as commands and their answers.
//!
//! * A batch takes place in one transaction, all of it or nothing; each command gets its own answer, in order.
//! * An order, its history entry and the event that announces it appear together or not at all.
//! * A read is given up when the deadline of its call passes, also by a server of its own. A batch has no deadline: it
//!   belongs to many calls.
//! * Every command is idempotent: repeated after a failure of unknown outcome it changes nothing twice.
//!
//! The contract test (`tests/store_contract`) runs against this trait, on every database. No SQL stands outside the
//! implementations. They share what does not depend on SQL: what a batch does to its orders, how a row becomes a value,
//! and which failures may pass.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use outbox::OutboxRecord;
use service::deadline::Deadline;
use sql::database::Database;
use sql::migrations::{MigrationSet, Migrations};
use thiserror::Error;
use uuid::Uuid;

use crate::domain::{
    CustomerId, Fingerprint, HistoryEntry, NewOrder, Order, OrderEvent, OrderId, OrderStatus,
    Refusal, RequestId, Timestamp,
};

mod saved;

mod tracked;

mod rows;

mod failure;

pub mod postgres;
pub mod sqlite;

mod observed;

use observed::ObservedStore;

/// The schema, for each engine.
pub const MIGRATIONS: Migrations = &[
    outbox::database::MIGRATIONS,
    consumer::MIGRATIONS,
    MigrationSet {
        owner: "orders",
        sqlite: &sqlite::MIGRATOR,
        postgres: &postgres::MIGRATOR,
    },
];

/// The store in a database.
pub fn of(database: &Database) -> Arc<dyn OrderStore> {
    match database {
        Database::Sqlite(file) => {
            let store = sqlite::SqliteStore::new(Arc::clone(file));
            Arc::new(ObservedStore::new(store, file.statements()))
        }
        Database::Postgres(server) => {
            let store = postgres::PostgresStore::new(Arc::clone(server));
            Arc::new(ObservedStore::new(store, server.statements()))
        }
    }
}

/// A store of orders.
#[async_trait]
pub trait OrderStore: fmt::Debug + Send + Sync + 'static {
    /// Takes new orders, each under the request id of its customer.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of the batch took place, unless the failure hit the commit itself.
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError>;

    /// What became of the request when it was placed before, never [`Placed::New`]; `None` if it was not placed yet.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError>;

    /// Applies outcomes of processing, each order's in sequence.
    ///
    /// # Errors
    /// As [`OrderStore::place`].
    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError>;

    /// Notes that customers want to cancel.
    ///
    /// # Errors
    /// As [`OrderStore::place`].
    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError>;

    /// Reads an order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    async fn get(&self, order_id: OrderId, deadline: Deadline)
    -> Result<Option<Order>, StoreError>;

    /// Reads up to `limit` orders of a customer, newest first, from behind `before` on.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError>;

    /// Reads up to `limit` entries of an order's history with a version above `after_version`, in order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError>;

    /// Reads the versions of those among these orders that exist, in any order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError>;
}

/// A new order, with everything that is written for it.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    /// The order as it will be.
    pub order: Order,
    /// The client's id of the intent.
    pub request_id: RequestId,
    /// What makes a repetition the same request.
    pub fingerprint: Fingerprint,
    /// Identity of the event that announces it.
    pub event_id: Uuid,
    /// The event's record, trace context included.
    pub event: OutboxRecord,
}

/// What became of a [`PlaceOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The order is stored.
    New,
    /// The same request made this order before.
    Duplicate(Order),
    /// The request id was used before for another body.
    Conflict,
}

/// An event of processing about an order.
#[derive(Clone, Debug)]
pub struct ApplyOutcome {
    /// The order.
    pub order_id: OrderId,
    /// Identity of the event.
    pub event_id: Uuid,
    /// Its position among processing's events about the order, from 1.
    pub sequence: u64,
    /// What happened.
    pub event: OrderEvent,
    /// When, by processing's clock.
    pub occurred_at: Timestamp,
}

/// What became of an [`ApplyOutcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The order moved on and is now in this state, which is not its last.
    Moved(OrderStatus),
    /// The order has reached its final state. Of all answers about an order this one is given once.
    Ended {
        /// The state.
        status: OrderStatus,
        /// When the order was accepted.
        accepted_at: Timestamp,
    },
    /// The event was applied before.
    Duplicate,
    /// Events before this one are missing.
    Gap {
        /// The position that must come first.
        expected: u64,
    },
    /// The order's state does not allow it; nothing changed.
    Refused(Refusal),
    /// There is no such order.
    UnknownOrder,
}

impl Applied {
    /// The state that the order got into, if it moved.
    pub fn moved_to(self) -> Option<OrderStatus> {
        match self {
            Self::Moved(status) | Self::Ended { status, .. } => Some(status),
            Self::Duplicate | Self::Gap { .. } | Self::Refused(_) | Self::UnknownOrder => None,
        }
    }
}

/// A customer's wish to cancel.
#[derive(Clone, Debug)]
pub struct CancelOrder {
    /// The order.
    pub order_id: OrderId,
    /// Identity of the event that announces it.
    pub event_id: Uuid,
    /// When.
    pub requested_at: Timestamp,
    /// The event's record, trace context included.
    pub event: OutboxRecord,
}

/// What became of a [`CancelOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReply {
    /// The wish is stored.
    Requested(Order),
    /// It was stored before; the order as it is now.
    AlreadyRequested(Order),
    /// The order has ended another way.
    Refused(OrderStatus),
    /// There is no such order.
    UnknownOrder,
}

/// Why a store does not answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database failed; it may recover.
    #[error("{operation}: the database failed")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What the driver says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stored data or the schema is not what this release writes: repeating does not help.
    #[error("{operation}: the stored data is not as expected")]
    Damaged {
        /// What was being done.
        operation: &'static str,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the database is to blame and not the command: whatever else is asked of it now fails as well.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
