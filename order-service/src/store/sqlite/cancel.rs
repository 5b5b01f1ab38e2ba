//! Requesting cancellations: history entry, state and the event for processing in one transaction.

use chassis::outbox;
use sqlx::SqliteConnection;

use super::tracked;
use crate::domain::{OrderEvent, Refusal};
use crate::store::{CancelOrder, CancelReply};

/// Notes each wish, in the batch's sequence.
pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    batch: &[CancelOrder],
) -> Result<Vec<CancelReply>, sqlx::Error> {
    let order_ids = batch.iter().map(|command| command.order_id).collect();
    let mut orders = tracked::read(connection, order_ids).await?;
    let mut entries = Vec::new();
    let mut events = Vec::new();
    let mut answers = Vec::with_capacity(batch.len());
    for command in batch {
        let Some(tracked) = orders.get_mut(&command.order_id) else {
            answers.push(CancelReply::UnknownOrder);
            continue;
        };
        let order = &mut tracked.order;
        let event = OrderEvent::CancellationRequested;
        answers.push(
            match order.apply(event, command.event_id, command.requested_at) {
                Ok(entry) => {
                    entries.push(entry);
                    events.push(&command.event);
                    CancelReply::Requested(order.clone())
                }
                Err(Refusal::AlreadyRequested) => CancelReply::AlreadyRequested(order.clone()),
                Err(Refusal::OrderIsFinal(_) | Refusal::NotRequested) => {
                    CancelReply::Refused(order.status)
                }
            },
        );
    }
    tracked::write(connection, &orders, &entries).await?;
    outbox::sqlite::insert(connection, &events).await?;
    Ok(answers)
}
