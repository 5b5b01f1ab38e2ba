//! Applying outcomes: state, history entry and inbox row in one transaction, behind the locks of the orders.

use consumer::inbox;
use sqlx::PgPool;

use super::tracked;
use crate::store::{Applied, ApplyOutcome, rows};

pub(super) async fn apply(
    pool: &PgPool,
    batch: &[ApplyOutcome],
) -> Result<Vec<Applied>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let order_ids = batch.iter().map(|outcome| outcome.order_id);
    let mut orders = tracked::lock(&mut transaction, order_ids).await?;
    let decided = orders.apply(batch);
    let moved = orders.moved(&decided.entries);
    tracked::write(&mut transaction, &moved, &decided.entries).await?;
    let new = inbox::postgres::accept(&mut transaction, &decided.applied).await?;
    rows::all_new(&decided.applied, &new)?;
    transaction.commit().await?;
    Ok(decided.answers)
}
