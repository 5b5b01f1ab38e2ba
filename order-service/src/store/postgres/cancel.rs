//! Requesting cancellations: state, history entry and the event for processing in one transaction, behind the locks of
//! the orders.

use outbox;
use sqlx::PgPool;

use super::tracked;
use crate::store::{CancelOrder, CancelReply};

pub(super) async fn cancel(
    pool: &PgPool,
    batch: &[CancelOrder],
) -> Result<Vec<CancelReply>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let order_ids = batch.iter().map(|command| command.order_id);
    let mut orders = tracked::lock(&mut transaction, order_ids).await?;
    let decided = orders.cancel(batch);
    let moved = orders.moved(&decided.entries);
    tracked::write(&mut transaction, &moved, &decided.entries).await?;
    outbox::postgres::insert(&mut transaction, &decided.events).await?;
    transaction.commit().await?;
    Ok(decided.answers)
}
