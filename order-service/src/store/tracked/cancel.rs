//! What a batch of wishes to cancel does to its orders.

use outbox::OutboxRecord;

use super::TrackedOrders;
use crate::domain::{HistoryEntry, OrderEvent, Refusal};
use crate::store::{CancelOrder, CancelReply};

/// What is to be written for a batch of wishes, and answered once it is.
#[derive(Debug)]
pub(in crate::store) struct DecidedCancellations<'a> {
    /// One answer per wish.
    pub(in crate::store) answers: Vec<CancelReply>,
    /// What the histories gain.
    pub(in crate::store) entries: Vec<HistoryEntry>,
    /// The events that announce it.
    pub(in crate::store) events: Vec<&'a OutboxRecord>,
}

impl TrackedOrders {
    /// Notes each wish, in the batch's sequence.
    pub(in crate::store) fn cancel<'a>(
        &mut self,
        batch: &'a [CancelOrder],
    ) -> DecidedCancellations<'a> {
        let mut decided = DecidedCancellations {
            answers: Vec::with_capacity(batch.len()),
            entries: Vec::new(),
            events: Vec::new(),
        };
        for command in batch {
            let answer = match self.request(command) {
                Err(answer) => answer,
                Ok((entry, answer)) => {
                    decided.entries.push(entry);
                    decided.events.push(&command.event);
                    answer
                }
            };
            decided.answers.push(answer);
        }
        decided
    }

    /// Notes one wish, or says why not.
    fn request(
        &mut self,
        command: &CancelOrder,
    ) -> Result<(HistoryEntry, CancelReply), CancelReply> {
        let tracked = self.0.get_mut(&command.order_id);
        let order = &mut tracked.ok_or(CancelReply::UnknownOrder)?.order;
        let event = OrderEvent::CancellationRequested;
        match order.apply(event, command.event_id, command.requested_at) {
            Ok(entry) => Ok((entry, CancelReply::Requested(order.clone()))),
            Err(Refusal::AlreadyRequested) => Err(CancelReply::AlreadyRequested(order.clone())),
            Err(Refusal::OrderIsFinal(_) | Refusal::NotRequested) => {
                Err(CancelReply::Refused(order.status))
            }
        }
    }
}
