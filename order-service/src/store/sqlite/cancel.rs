//! Requesting cancellations: history entry, state and the event for processing in one transaction.

use outbox;
use sqlx::SqliteConnection;

use super::tracked;
use crate::store::{CancelOrder, CancelReply};

pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    batch: &[CancelOrder],
) -> Result<Vec<CancelReply>, sqlx::Error> {
    let order_ids = batch.iter().map(|command| command.order_id);
    let mut orders = tracked::read(connection, order_ids).await?;
    let decided = orders.cancel(batch);
    let moved = orders.moved(&decided.entries);
    tracked::write(connection, &moved, &decided.entries).await?;
    outbox::sqlite::insert(connection, &decided.events).await?;
    Ok(decided.answers)
}
