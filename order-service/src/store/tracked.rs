//! Orders that a batch moves on: read together, changed in memory by the rules of the domain, written together.
//!
//! What a batch does is decided here, once for every database. The database reads the orders under its lock before, and
//! writes what was decided in the same transaction after.

use std::collections::HashMap;

use crate::domain::{HistoryEntry, Order, OrderId};

mod apply;

mod cancel;

/// An order inside a batch.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The order as far as the batch has moved it.
    pub(super) order: Order,
    /// Position of the last outcome applied.
    pub(super) processing_sequence: u64,
}

/// The orders of a batch.
#[derive(Debug)]
pub(super) struct TrackedOrders(HashMap<OrderId, Tracked>);

impl TrackedOrders {
    /// The orders that have an entry: what is to be written.
    pub(super) fn moved(&self, entries: &[HistoryEntry]) -> Vec<&Tracked> {
        let order_ids = distinct(entries.iter().map(|entry| entry.order_id));
        let tracked = order_ids.iter().map(|order_id| self.0.get(order_id));
        tracked.flatten().collect()
    }
}

impl FromIterator<Tracked> for TrackedOrders {
    fn from_iter<I: IntoIterator<Item = Tracked>>(orders: I) -> Self {
        let by_id = |tracked: Tracked| (tracked.order.id, tracked);
        Self(orders.into_iter().map(by_id).collect())
    }
}

/// Each id once, in ascending order: the order in which rows are locked.
pub(super) fn distinct(order_ids: impl IntoIterator<Item = OrderId>) -> Vec<OrderId> {
    let mut order_ids: Vec<OrderId> = order_ids.into_iter().collect();
    order_ids.sort_unstable();
    order_ids.dedup();
    order_ids
}
