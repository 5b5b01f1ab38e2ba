//! Applying outcomes: inbox row, history entry and state in one transaction.

use chassis::inbox::{self, InboxEntry};
use sqlx::SqliteConnection;

use super::rows;
use super::tracked::{self, Tracked};
use crate::domain::{Admission, HistoryEntry, admit};
use crate::store::{Applied, ApplyOutcome};

/// Lets each outcome happen to its order, in the batch's sequence.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    batch: &[ApplyOutcome],
) -> Result<Vec<Applied>, sqlx::Error> {
    let order_ids = batch.iter().map(|outcome| outcome.order_id).collect();
    let mut orders = tracked::read(connection, order_ids).await?;
    let mut entries = Vec::with_capacity(batch.len());
    let mut applied = Vec::with_capacity(batch.len());
    let mut answers = Vec::with_capacity(batch.len());
    for outcome in batch {
        let answer = match orders.get_mut(&outcome.order_id) {
            None => Applied::UnknownOrder,
            Some(order) => match decide(order, outcome) {
                Err(answer) => answer,
                Ok(entry) => {
                    applied.push(inbox_entry(outcome));
                    let status = entry.status;
                    entries.push(entry);
                    Applied::Moved(status)
                }
            },
        };
        answers.push(answer);
    }
    remember(connection, &applied).await?;
    tracked::write(connection, &orders, &entries).await?;
    Ok(answers)
}

/// Moves the order, or says why not.
fn decide(tracked: &mut Tracked, outcome: &ApplyOutcome) -> Result<HistoryEntry, Applied> {
    let is_final = tracked.order.status.is_final();
    match admit(tracked.processing_sequence, outcome.sequence) {
        Admission::Duplicate => return Err(Applied::Duplicate),
        // Nothing follows a final state: an event behind it is refused below, since waiting for the events before it
        // would never end.
        Admission::Gap { expected } if !is_final => return Err(Applied::Gap { expected }),
        Admission::Gap { .. } | Admission::Next => {}
    }
    let entry = tracked
        .order
        .apply(outcome.event, outcome.event_id, outcome.occurred_at)
        .map_err(Applied::Refused)?;
    tracked.processing_sequence = outcome.sequence;
    Ok(entry)
}

fn inbox_entry(outcome: &ApplyOutcome) -> InboxEntry {
    InboxEntry {
        event_id: outcome.event_id,
        key: outcome.order_id.as_uuid(),
        sequence: outcome.sequence,
    }
}

/// The sequence has told duplicates before: an event id that is known all the same contradicts the history.
async fn remember(
    connection: &mut SqliteConnection,
    applied: &[InboxEntry],
) -> Result<(), sqlx::Error> {
    let new = inbox::sqlite::accept(connection, applied).await?;
    if new.len() == applied.len() {
        Ok(())
    } else {
        Err(rows::damaged("an event id was applied at another position"))
    }
}
