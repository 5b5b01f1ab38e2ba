//! The store's interface: one call is one commit of a saga, with a step or with two that need no commit between them.
//!
//! It is committed as a whole or not at all: the new state, the stock moves, the published events, and, when the saga
//! ends, the inbox row of the consumed event. Calls are idempotent: a step that was applied before answers
//! [`Recorded::Duplicate`] and changes nothing. `tests/store_contract` checks these rules on every engine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use sql::error::{Classified, ErrorClass, classify};

use crate::catalogue::Catalogue;
use crate::domain::{Demand, Order, OrderId, SagaEvent, SagaState, Sku, StockLevel};

/// Implemented once for all engines, and by test doubles.
#[async_trait]
pub trait ProcessingStore: Send + Sync + 'static {
    /// Begins the saga of an order that has none yet.
    async fn open(&self, order: OpenSaga, cause: Cause) -> Result<Recorded, StoreError>;

    /// Applies events to a saga, one after the other and in one commit. Each of them is a no-op if the saga's state then has no
    /// transition for it.
    async fn advance(
        &self,
        order_id: OrderId,
        events: Vec<SagaEvent>,
        cause: Cause,
    ) -> Result<Recorded, StoreError>;

    /// Publishes what the order's saga has announced so far once more, with the same ids and sequences. No-op without a saga.
    async fn announce_again(&self, order_id: OrderId, cause: Cause) -> Result<(), StoreError>;

    /// Writes the inbox row of an event that needs no other change.
    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError>;

    /// The state of the order's saga; `None` if it has none.
    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError>;

    /// The stock of those SKUs that are in the catalogue. No row is locked.
    async fn levels(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, StoreError>;

    /// Inserts the SKUs that are missing and leaves the others unchanged. Returns the number of inserted SKUs.
    async fn seed(&self, catalogue: &Catalogue) -> Result<u64, StoreError>;
}

/// A new saga.
#[derive(Clone, Debug)]
pub struct OpenSaga {
    pub order_id: OrderId,
    pub demand: Demand,
    pub opening: Opening,
}

impl OpenSaga {
    pub fn new(order: &Order, opening: Opening) -> Self {
        Self {
            order_id: order.id,
            demand: order.demand.clone(),
            opening,
        }
    }
}

/// The first step of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Reserve the stock, or reject the order if it is short.
    Reserve,
    /// The order was cancelled before its first step.
    Cancel,
}

/// What causes a step: a consumed event, or a call.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Inserted into the inbox when the step ends the saga; `None` for a call.
    pub event: Option<InboxEntry>,
    /// W3C trace headers of the span that handles the event or the call; copied to the published event.
    pub trace: Arc<[(String, String)]>,
}

/// The result of a step, with the current state of the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// This call made the change.
    New(SagaState),
    /// No-op: the steps were applied before, or another outcome was decided first.
    Duplicate(SagaState),
}

impl Recorded {
    /// The current state of the saga.
    pub fn state(self) -> SagaState {
        match self {
            Self::New(state) | Self::Duplicate(state) => state,
        }
    }
}

/// Why a step was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Retry, unless the data is not as expected: the step may have been recorded nevertheless.
    #[error("database error")]
    Database(#[from] sqlx::Error),
    /// The service is stopping, or the transaction of the step's batch failed. Retry: the step may have been recorded
    /// nevertheless.
    #[error("no answer from the store's writer")]
    Unanswered,
    /// Stock changed between read and write. Retry.
    #[error("stock changed during the transaction")]
    StockChanged,
    /// Another replica opened the saga between read and write. The second attempt finds that saga.
    #[error("another replica opened the saga during the transaction")]
    SagaOpened,
    /// An event for a saga that was never opened.
    #[error("order {0} has no saga")]
    NoSaga(OrderId),
    /// A row holds values that this service never writes.
    #[error("the saga of order {0} is damaged")]
    Damaged(OrderId),
}

impl StoreError {
    /// Whether a retry of the step may succeed.
    pub fn is_transient(&self) -> bool {
        self.class() != ErrorClass::Damaged
    }
}

impl Classified for StoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Database(error) => classify(error),
            Self::Unanswered => ErrorClass::Unavailable,
            Self::SagaOpened => ErrorClass::Conflict,
            Self::StockChanged => ErrorClass::Unknown,
            Self::NoSaga(_) | Self::Damaged(_) => ErrorClass::Damaged,
        }
    }
}
