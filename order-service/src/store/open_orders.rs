//! Orders without a final state: the oldest one, for its alert, and their events once more, for an operator.
//!
//! An event can be lost behind the broker's acknowledgement: its topic was deleted, or its retention ended before it was
//! read. The order then stays open. Its events are built again from the order and its history, with the same ids, sequences
//! and times, so that a consumer that has handled one of them before recognises it.

use std::fmt;

use async_trait::async_trait;
use outbox::OutboxRecord;
use proto::record;
use sqlx::FromRow;
use thiserror::Error;
use uuid::Uuid;

use super::error::StoreError;
use super::rows;
use crate::domain::{
    EventType, HistoryEntry, Order, OrderId, OrderStatus, PaymentToken, Timestamp,
};
use crate::events;

/// History entries that are read: more than any order has.
pub(super) const MAX_ENTRIES: i64 = 100;

pub(super) const OLDEST: &str = "SELECT created_at FROM open_orders ORDER BY order_id LIMIT 1";

pub(super) const LIST: &str = "
    SELECT order_id FROM open_orders WHERE created_at <= $1 AND order_id > $2 ORDER BY order_id LIMIT $3";

pub(super) const PAYMENT_TOKEN: &str = "SELECT payment_token FROM open_orders WHERE order_id = $1";

pub(super) const WRITE_AUDIT: &str = "
    INSERT INTO order_audit (at, actor, action, order_id, detail) VALUES ($1, $2, 'REPUBLISH', $3, $4)";

pub(super) const READ_AUDIT: &str = "
    SELECT at, actor, action, order_id, detail FROM order_audit ORDER BY id DESC LIMIT $1";

#[async_trait]
pub trait OpenOrders: fmt::Debug + Send + Sync + 'static {
    /// When the oldest order without a final state was placed. Costs one descent of the primary key: ids sort by time.
    async fn oldest(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Up to `limit` orders without a final state, placed at this time or before, with an id above `after`, ascending.
    async fn list(
        &self,
        placed_before: Timestamp,
        after: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderId>, StoreError>;

    /// Writes the events of an order to the outbox once more, with an audit row, in one transaction. Returns their types.
    async fn republish(
        &self,
        order_id: OrderId,
        publication: Publication<'_>,
    ) -> Result<Result<Vec<EventType>, NotRepublished>, StoreError>;

    /// The latest audit rows, newest first.
    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
}

/// Whether events are written, and in whose name.
#[derive(Clone, Copy, Debug)]
pub enum Publication<'a> {
    /// Nothing is written.
    DryRun,
    By {
        actor: &'a str,
        at: Timestamp,
    },
}

/// Why an order's events are not published again. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotRepublished {
    #[error("there is no order {0}")]
    Unknown(OrderId),
    #[error("order {} is final: {}", .0, .1.name())]
    Final(OrderId, OrderStatus),
    /// Rows that this release does not write.
    #[error("order {0} has no stored payment token, without which it cannot be processed")]
    NoPaymentToken(OrderId),
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AuditEntry {
    /// Unix milliseconds.
    pub at: i64,
    pub actor: String,
    pub action: String,
    pub order_id: Uuid,
    pub detail: String,
}

/// The events to publish, in order, or why there are none.
pub(super) type EventsAgain = Result<Vec<(EventType, OutboxRecord)>, NotRepublished>;

/// The published events of an order, oldest first. `order` is the current order, `None` if there is none; `token` is its
/// stored payment token.
///
/// # Errors
/// When the stored token is not one.
pub(super) fn events_again(
    order_id: OrderId,
    order: Option<&Order>,
    token: Option<String>,
    history: &[HistoryEntry],
) -> Result<EventsAgain, sqlx::Error> {
    let token = token.map(PaymentToken::parse).transpose();
    let token = token.map_err(rows::damaged)?;
    Ok(order
        .ok_or(NotRepublished::Unknown(order_id))
        .and_then(|order| rebuilt(order, token, history)))
}

fn rebuilt(order: &Order, token: Option<PaymentToken>, history: &[HistoryEntry]) -> EventsAgain {
    let order_id = order.id;
    if order.status.is_final() {
        return Err(NotRepublished::Final(order_id, order.status));
    }
    let payment_token = token.ok_or(NotRepublished::NoPaymentToken(order_id))?;
    let again = |entry: &HistoryEntry| {
        let (event_id, at) = (entry.event_id, entry.occurred_at);
        let mut record = match entry.event_type {
            EventType::OrderPlaced => events::order_placed(order, &payment_token, event_id),
            EventType::CancellationRequested => {
                events::cancellation_requested(order_id, event_id, at)
            }
            _ => return None,
        };
        record::mark_republished(&mut record.headers);
        Some((entry.event_type, record))
    };
    Ok(history.iter().filter_map(again).collect())
}

/// Names of events, for the audit.
pub(super) fn named(types: &[EventType]) -> String {
    let names: Vec<_> = types.iter().map(|event| event.name()).collect();
    names.join(", ")
}
