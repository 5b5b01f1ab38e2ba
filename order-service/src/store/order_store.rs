//! The contract of an order store: commands and their replies, the same on every database.
//!
//! * A batch is one transaction: all of it or nothing. Each command gets its own reply, in the order of the batch.
//! * An order, its history entry and the event about it become visible together or not at all.
//! * A read ends at the deadline of its call, on a database server as well. A batch has no deadline: it belongs to many
//!   calls.
//! * Every command is idempotent: retried after a failure with an unknown result, it has no second effect.
//!
//! The contract tests (`tests/store_contract`) run against this trait on every database.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use outbox::OutboxRecord;
use service::deadline::Deadline;
use uuid::Uuid;

use super::error::StoreError;
use crate::domain::{
    CustomerId, Fingerprint, HistoryEntry, NewOrder, Order, OrderEvent, OrderId, OrderStatus,
    PaymentToken, RequestId, Timestamp, TransitionRefused,
};

#[async_trait]
pub trait OrderStore: fmt::Debug + Send + Sync + 'static {
    /// Stores new orders. (customer, request id) is the idempotency key.
    ///
    /// # Errors
    /// [`StoreError`]; the batch had no effect, unless the commit itself failed: then its result is unknown.
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError>;

    /// The reply to a retry of this request, never [`Placed::New`]; `None` if the request was not placed yet.
    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError>;

    /// Applies outcomes of processing, each order's in sequence.
    ///
    /// # Errors
    /// As [`OrderStore::place`].
    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Committed<Applied>, StoreError>;

    /// Stores requests to cancel.
    ///
    /// # Errors
    /// As [`OrderStore::place`].
    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Committed<CancelReply>, StoreError>;

    async fn get(&self, order_id: OrderId, deadline: Deadline)
    -> Result<Option<Order>, StoreError>;

    /// Up to `limit` orders of a customer, newest first, older than `before`. Ends after the order with which their bodies
    /// exceed 1 MiB.
    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError>;

    /// Of each order up to `limit` entries above its version. One reply per request, in their order; `None` if there is no such
    /// order.
    async fn histories(
        &self,
        after: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<Option<History>>, StoreError>;

    /// Of each of these orders up to `limit` entries that follow its known version, in any order.
    async fn entries_after(
        &self,
        known: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError>;
}

/// A part of the history of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub customer_id: CustomerId,
    /// Ascending. Never empty: the last entry of the order, if none has a version above the requested one.
    pub entries: Vec<HistoryEntry>,
}

/// A committed batch that changed orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<R> {
    /// One per command.
    pub replies: Vec<R>,
    /// The entries that the batch has added to the histories.
    pub entries: Vec<HistoryEntry>,
}

/// A new order and everything that is written with it.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    pub order: Order,
    pub request_id: RequestId,
    /// Distinguishes a retry from another request under the same id.
    pub fingerprint: Fingerprint,
    pub event_id: Uuid,
    /// Kept until the order is final.
    pub payment_token: PaymentToken,
    /// The record of `OrderPlaced`, trace context included.
    pub event: Arc<OutboxRecord>,
}

/// The reply to a [`PlaceOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    New,
    /// A retry: the request has already created this order.
    Duplicate(Order),
    /// The request id was used for another body.
    Conflict,
}

/// An event that processing-service has emitted about an order.
#[derive(Clone, Debug)]
pub struct ApplyOutcome {
    pub order_id: OrderId,
    pub event_id: Uuid,
    /// Position among the events that processing-service emits about this order, from 1.
    pub sequence: u64,
    /// `None` for an optional event of a type that this release does not know: only the position of the order advances.
    pub event: Option<OrderEvent>,
    /// By the clock of processing-service.
    pub occurred_at: Timestamp,
}

/// The reply to an [`ApplyOutcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The order is in this state now, and it is not final.
    Moved(OrderStatus),
    /// The order has reached its final state. Returned once per order.
    Ended {
        status: OrderStatus,
        accepted_at: Timestamp,
    },
    /// An event of an unknown type was passed: state and history are unchanged.
    Skipped,
    /// No-op: the event was already applied.
    Duplicate,
    /// Events before this one are missing.
    Gap {
        expected: u64,
    },
    /// No-op: the state of the order does not allow the event.
    Refused(TransitionRefused),
    UnknownOrder,
}

impl Applied {
    /// The new state, if the event was applied.
    pub fn moved_to(self) -> Option<OrderStatus> {
        match self {
            Self::Moved(status) | Self::Ended { status, .. } => Some(status),
            Self::Skipped
            | Self::Duplicate
            | Self::Gap { .. }
            | Self::Refused(_)
            | Self::UnknownOrder => None,
        }
    }
}

/// A customer's request to cancel.
#[derive(Clone, Debug)]
pub struct CancelOrder {
    pub order_id: OrderId,
    pub event_id: Uuid,
    pub requested_at: Timestamp,
    /// The record of `CancellationRequested`, trace context included.
    pub event: Arc<OutboxRecord>,
}

/// The reply to a [`CancelOrder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReply {
    /// The request is stored.
    Requested(Order),
    /// No-op: a request was stored before. The current order.
    AlreadyRequested(Order),
    /// The order is in another final state.
    Refused(OrderStatus),
    UnknownOrder,
}
