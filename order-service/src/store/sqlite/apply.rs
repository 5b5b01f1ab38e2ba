//! Applying outcomes: inbox row, history entry and state in one transaction.

use consumer::inbox;
use sqlx::SqliteConnection;

use super::tracked;
use crate::store::{Applied, ApplyOutcome, rows};

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    batch: &[ApplyOutcome],
) -> Result<Vec<Applied>, sqlx::Error> {
    let order_ids = batch.iter().map(|outcome| outcome.order_id);
    let mut orders = tracked::read(connection, order_ids).await?;
    let decided = orders.apply(batch);
    let new = inbox::sqlite::accept(connection, &decided.applied).await?;
    rows::all_new(&decided.applied, &new)?;
    let moved = orders.moved(&decided.entries);
    tracked::write(connection, &moved, &decided.entries).await?;
    Ok(decided.answers)
}
