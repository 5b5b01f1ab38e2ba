//! The effect of a batch on its orders, decided in memory by the rules of the domain, once for every database. The engine
//! reads the orders under its lock before, and writes the decision in the same transaction after.

use std::collections::HashMap;
use std::sync::Arc;

use consumer::inbox::{self, InboxEntry};
use outbox::OutboxRecord;

use super::order_store::{Applied, ApplyOutcome, CancelOrder, CancelReply, Committed};
use crate::domain::{
    HistoryEntry, Order, OrderEvent, OrderId, SequenceCheck, TransitionRefused, check_sequence,
};

/// A command that moves an order to another state.
pub(super) trait OrderCommand: Sync {
    type Reply: Send;

    /// The reply when there is no such order.
    const UNKNOWN: Self::Reply;

    fn order_id(&self) -> OrderId;

    /// Changes the order and returns the entry for its history, if it has a new one, or returns the reply to a no-op.
    fn apply(
        &self,
        tracked: &mut Tracked,
    ) -> Result<(Option<HistoryEntry>, Self::Reply), Self::Reply>;

    /// The consumed event that was applied.
    fn inbox_entry(&self) -> Option<InboxEntry> {
        None
    }

    /// The event to publish.
    fn event(&self) -> Option<Arc<OutboxRecord>> {
        None
    }
}

#[derive(Debug)]
pub(super) struct Tracked {
    /// With the batch applied so far.
    pub(super) order: Order,
    /// Position of the last applied outcome; 0 before the first.
    pub(super) processing_sequence: u64,
}

/// The orders of a batch.
#[derive(Debug)]
pub(super) struct TrackedOrders(HashMap<OrderId, Tracked>);

impl FromIterator<Tracked> for TrackedOrders {
    fn from_iter<I: IntoIterator<Item = Tracked>>(orders: I) -> Self {
        let by_id = |tracked: Tracked| (tracked.order.id, tracked);
        Self(orders.into_iter().map(by_id).collect())
    }
}

/// The rows to write for a batch, and the replies for after the commit.
#[derive(Debug)]
pub(super) struct Decided<R> {
    pub(super) replies: Vec<R>,
    /// The orders whose rows have changed, in the order of the batch.
    changed: Vec<OrderId>,
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) inbox: Vec<InboxEntry>,
    pub(super) outbox: Vec<Arc<OutboxRecord>>,
}

impl<R> Decided<R> {
    /// The orders that have become final.
    pub(super) fn ended(&self) -> Vec<OrderId> {
        let ended = self.entries.iter().filter(|entry| entry.status.is_final());
        ended.map(|entry| entry.order_id).collect()
    }

    /// For after the commit.
    pub(super) fn committed(self) -> Committed<R> {
        Committed {
            replies: self.replies,
            entries: self.entries,
        }
    }
}

impl TrackedOrders {
    /// Applies the commands in the order of the batch.
    pub(super) fn apply<C: OrderCommand>(&mut self, batch: &[C]) -> Decided<C::Reply> {
        let mut decided = Decided {
            replies: Vec::with_capacity(batch.len()),
            changed: Vec::with_capacity(batch.len()),
            entries: Vec::with_capacity(batch.len()),
            inbox: Vec::new(),
            outbox: Vec::new(),
        };
        for command in batch {
            let tracked = self.0.get_mut(&command.order_id());
            let reply = match tracked.map_or(Err(C::UNKNOWN), |tracked| command.apply(tracked)) {
                Err(reply) => reply,
                Ok((entry, reply)) => {
                    decided.changed.push(command.order_id());
                    decided.entries.extend(entry);
                    decided.inbox.extend(command.inbox_entry());
                    decided.outbox.extend(command.event());
                    reply
                }
            };
            decided.replies.push(reply);
        }
        decided
    }

    /// The rows to update.
    pub(super) fn changed<R>(&self, decided: &Decided<R>) -> Vec<&Tracked> {
        let order_ids = distinct(decided.changed.iter().copied());
        let tracked = order_ids.iter().map(|order_id| self.0.get(order_id));
        tracked.flatten().collect()
    }
}

impl OrderCommand for ApplyOutcome {
    type Reply = Applied;
    const UNKNOWN: Applied = Applied::UnknownOrder;

    fn order_id(&self) -> OrderId {
        self.order_id
    }

    fn apply(&self, tracked: &mut Tracked) -> Result<(Option<HistoryEntry>, Applied), Applied> {
        admit(tracked, self.sequence)?;
        let Some(event) = self.event else {
            tracked.processing_sequence = self.sequence;
            return Ok((None, Applied::Skipped));
        };
        let order = &mut tracked.order;
        let entry = order.apply(event, self.event_id, self.occurred_at);
        let entry = entry.map_err(Applied::Refused)?;
        tracked.processing_sequence = self.sequence;
        Ok((Some(entry), moved(&tracked.order)))
    }

    /// None for a skipped event: the position alone makes its redelivery a no-op.
    fn inbox_entry(&self) -> Option<InboxEntry> {
        self.event.map(|_| InboxEntry {
            event_id: self.event_id,
            key: self.order_id.as_uuid(),
            sequence: self.sequence,
        })
    }
}

impl OrderCommand for CancelOrder {
    type Reply = CancelReply;
    const UNKNOWN: CancelReply = CancelReply::UnknownOrder;

    fn order_id(&self) -> OrderId {
        self.order_id
    }

    fn apply(
        &self,
        tracked: &mut Tracked,
    ) -> Result<(Option<HistoryEntry>, CancelReply), CancelReply> {
        let order = &mut tracked.order;
        let event = OrderEvent::CancellationRequested;
        match order.apply(event, self.event_id, self.requested_at) {
            Ok(entry) => Ok((Some(entry), CancelReply::Requested(order.clone()))),
            Err(TransitionRefused::AlreadyRequested) => {
                Err(CancelReply::AlreadyRequested(order.clone()))
            }
            Err(TransitionRefused::OrderIsFinal(_) | TransitionRefused::NotRequested) => {
                Err(CancelReply::Refused(order.status))
            }
        }
    }

    fn event(&self) -> Option<Arc<OutboxRecord>> {
        Some(Arc::clone(&self.event))
    }
}

fn moved(order: &Order) -> Applied {
    let status = order.status;
    if !status.is_final() {
        return Applied::Moved(status);
    }
    Applied::Ended {
        status,
        accepted_at: order.created_at,
    }
}

fn admit(tracked: &Tracked, sequence: u64) -> Result<(), Applied> {
    let is_final = tracked.order.status.is_final();
    match check_sequence(tracked.processing_sequence, sequence) {
        SequenceCheck::Next => Ok(()),
        _ if inbox::is_off() => Ok(()),
        SequenceCheck::Duplicate => Err(Applied::Duplicate),
        // An order in a final state refuses the event. Waiting for the missing events would never end: none follows a final
        // state.
        SequenceCheck::Gap { .. } if is_final => Ok(()),
        SequenceCheck::Gap { expected } => Err(Applied::Gap { expected }),
    }
}

/// The orders of a batch, each once, ascending: the order in which rows are locked.
pub(super) fn order_ids<C: OrderCommand>(batch: &[C]) -> Vec<OrderId> {
    distinct(batch.iter().map(C::order_id))
}

fn distinct(order_ids: impl IntoIterator<Item = OrderId>) -> Vec<OrderId> {
    let mut order_ids: Vec<OrderId> = order_ids.into_iter().collect();
    order_ids.sort_unstable();
    order_ids.dedup();
    order_ids
}
