//! The effect of a batch on its orders, decided in memory by the rules of the domain, once for every database. The engine
//! reads the orders under its lock before, and writes the decision in the same transaction after.

use std::collections::HashMap;

use consumer::inbox::{self, InboxEntry};
use outbox::OutboxRecord;

use super::order_store::{Applied, ApplyOutcome, CancelOrder, CancelReply};
use crate::domain::{
    HistoryEntry, Order, OrderEvent, OrderId, SequenceCheck, TransitionRefused, check_sequence,
};

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

impl TrackedOrders {
    /// The orders with a new entry: the rows to update.
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

/// The rows to write for a batch of outcomes, and the replies for after the commit.
#[derive(Debug)]
pub(super) struct DecidedOutcomes {
    pub(super) replies: Vec<Applied>,
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) applied: Vec<InboxEntry>,
}

impl TrackedOrders {
    /// Applies the outcomes in the order of the batch.
    pub(super) fn apply(&mut self, batch: &[ApplyOutcome]) -> DecidedOutcomes {
        let mut decided = DecidedOutcomes {
            replies: Vec::with_capacity(batch.len()),
            entries: Vec::with_capacity(batch.len()),
            applied: Vec::with_capacity(batch.len()),
        };
        for outcome in batch {
            let reply = match self.apply_one(outcome) {
                Err(reply) => reply,
                Ok((entry, reply)) => {
                    decided.entries.push(entry);
                    decided.applied.push(inbox_entry(outcome));
                    reply
                }
            };
            decided.replies.push(reply);
        }
        decided
    }

    fn apply_one(&mut self, outcome: &ApplyOutcome) -> Result<(HistoryEntry, Applied), Applied> {
        let tracked = self.0.get_mut(&outcome.order_id);
        let tracked = tracked.ok_or(Applied::UnknownOrder)?;
        admit(tracked, outcome.sequence)?;
        let entry = tracked
            .order
            .apply(outcome.event, outcome.event_id, outcome.occurred_at)
            .map_err(Applied::Refused)?;
        tracked.processing_sequence = outcome.sequence;
        Ok((entry, moved(&tracked.order)))
    }
}

fn moved(order: &Order) -> Applied {
    let status = order.status;
    if status.is_final() {
        let accepted_at = order.created_at;
        Applied::Ended {
            status,
            accepted_at,
        }
    } else {
        Applied::Moved(status)
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

fn inbox_entry(outcome: &ApplyOutcome) -> InboxEntry {
    InboxEntry {
        event_id: outcome.event_id,
        key: outcome.order_id.as_uuid(),
        sequence: outcome.sequence,
    }
}

/// The rows to write for a batch of requests to cancel, and the replies for after the commit.
#[derive(Debug)]
pub(super) struct DecidedCancellations<'a> {
    pub(super) replies: Vec<CancelReply>,
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) events: Vec<&'a OutboxRecord>,
}

impl TrackedOrders {
    /// Applies the requests in the order of the batch.
    pub(super) fn cancel<'a>(&mut self, batch: &'a [CancelOrder]) -> DecidedCancellations<'a> {
        let mut decided = DecidedCancellations {
            replies: Vec::with_capacity(batch.len()),
            entries: Vec::new(),
            events: Vec::new(),
        };
        for command in batch {
            let reply = match self.cancel_one(command) {
                Err(reply) => reply,
                Ok((entry, reply)) => {
                    decided.entries.push(entry);
                    decided.events.push(&command.event);
                    reply
                }
            };
            decided.replies.push(reply);
        }
        decided
    }

    fn cancel_one(
        &mut self,
        command: &CancelOrder,
    ) -> Result<(HistoryEntry, CancelReply), CancelReply> {
        let tracked = self.0.get_mut(&command.order_id);
        let order = &mut tracked.ok_or(CancelReply::UnknownOrder)?.order;
        let event = OrderEvent::CancellationRequested;
        match order.apply(event, command.event_id, command.requested_at) {
            Ok(entry) => Ok((entry, CancelReply::Requested(order.clone()))),
            Err(TransitionRefused::AlreadyRequested) => {
                Err(CancelReply::AlreadyRequested(order.clone()))
            }
            Err(TransitionRefused::OrderIsFinal(_) | TransitionRefused::NotRequested) => {
                Err(CancelReply::Refused(order.status))
            }
        }
    }
}

/// Each id once, ascending: the order in which rows are locked.
pub(super) fn distinct(order_ids: impl IntoIterator<Item = OrderId>) -> Vec<OrderId> {
    let mut order_ids: Vec<OrderId> = order_ids.into_iter().collect();
    order_ids.sort_unstable();
    order_ids.dedup();
    order_ids
}
