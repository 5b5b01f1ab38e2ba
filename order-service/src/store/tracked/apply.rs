//! What a batch of outcomes does to its orders.

use consumer::inbox::{self, InboxEntry};

use super::{Tracked, TrackedOrders};
use crate::domain::{Admission, HistoryEntry, Order, admit};
use crate::store::{Applied, ApplyOutcome};

/// What is to be written for a batch of outcomes, and answered once it is.
#[derive(Debug)]
pub(in crate::store) struct DecidedOutcomes {
    /// One answer per outcome.
    pub(in crate::store) answers: Vec<Applied>,
    /// What the histories gain.
    pub(in crate::store) entries: Vec<HistoryEntry>,
    /// The outcomes that were applied.
    pub(in crate::store) applied: Vec<InboxEntry>,
}

impl TrackedOrders {
    /// Lets each outcome happen to its order, in the batch's sequence.
    pub(in crate::store) fn apply(&mut self, batch: &[ApplyOutcome]) -> DecidedOutcomes {
        let mut decided = DecidedOutcomes {
            answers: Vec::with_capacity(batch.len()),
            entries: Vec::with_capacity(batch.len()),
            applied: Vec::with_capacity(batch.len()),
        };
        for outcome in batch {
            let answer = match self.happen(outcome) {
                Err(answer) => answer,
                Ok((entry, answer)) => {
                    decided.entries.push(entry);
                    decided.applied.push(inbox_entry(outcome));
                    answer
                }
            };
            decided.answers.push(answer);
        }
        decided
    }

    /// Moves the order, or says why not.
    fn happen(&mut self, outcome: &ApplyOutcome) -> Result<(HistoryEntry, Applied), Applied> {
        let tracked = self.0.get_mut(&outcome.order_id);
        let tracked = tracked.ok_or(Applied::UnknownOrder)?;
        admit_next(tracked, outcome.sequence)?;
        let entry = tracked
            .order
            .apply(outcome.event, outcome.event_id, outcome.occurred_at)
            .map_err(Applied::Refused)?;
        tracked.processing_sequence = outcome.sequence;
        let answer = moved(&tracked.order);
        Ok((entry, answer))
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

fn admit_next(tracked: &Tracked, sequence: u64) -> Result<(), Applied> {
    let is_final = tracked.order.status.is_final();
    match admit(tracked.processing_sequence, sequence) {
        Admission::Next => Ok(()),
        _ if inbox::is_off() => Ok(()),
        Admission::Duplicate => Err(Applied::Duplicate),
        // Nothing follows a final state: an event behind it is refused by the order, since waiting for the events
        // before it would never end.
        Admission::Gap { .. } if is_final => Ok(()),
        Admission::Gap { expected } => Err(Applied::Gap { expected }),
    }
}

fn inbox_entry(outcome: &ApplyOutcome) -> InboxEntry {
    InboxEntry {
        event_id: outcome.event_id,
        key: outcome.order_id.as_uuid(),
        sequence: outcome.sequence,
    }
}
