//! Applying outcomes and requesting cancellations: one transaction each, behind the locks of the orders; state and history
//! are written in one statement.

use consumer::inbox;
use sqlx::{PgConnection, PgPool};

use crate::domain::{HistoryEntry, OrderId};
use crate::store::order_store::{Applied, ApplyOutcome, CancelOrder, CancelReply};
use crate::store::rows::{self, TrackedRow, column};
use crate::store::tracked::{Tracked, TrackedOrders, distinct};

/// All replicas lock rows in the same order, so they never deadlock.
const LOCK: &str = "
    SELECT processing_sequence, order_id, customer_id, status, rejection_reason, version, body,
           availability, created_at, updated_at
    FROM orders WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE";

const WRITE: &str = "
    WITH moved AS (
        UPDATE orders
        SET status = moved.status, rejection_reason = moved.rejection_reason, version = moved.version,
            processing_sequence = moved.processing_sequence, updated_at = moved.updated_at
        FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
             AS moved (order_id, status, rejection_reason, version, processing_sequence, updated_at)
        WHERE orders.order_id = moved.order_id
    )
    INSERT INTO order_events (order_id, version, event_id, event_type, status, rejection_reason,
                              occurred_at, cause_id)
    SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, cause_id
    FROM UNNEST($7::uuid[], $8::bigint[], $9::uuid[], $10::text[], $11::text[], $12::text[],
                $13::bigint[], $14::uuid[])
         AS entry (order_id, version, event_id, event_type, status, rejection_reason, occurred_at,
                   cause_id)";

pub(super) async fn apply(
    pool: &PgPool,
    batch: &[ApplyOutcome],
) -> Result<Vec<Applied>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let order_ids = batch.iter().map(|outcome| outcome.order_id);
    let mut orders = lock(&mut transaction, order_ids).await?;
    let decided = orders.apply(batch);
    let moved = orders.moved(&decided.entries);
    write(&mut transaction, &moved, &decided.entries).await?;
    let new = inbox::postgres::accept(&mut transaction, &decided.applied).await?;
    rows::all_new(&decided.applied, &new)?;
    transaction.commit().await?;
    Ok(decided.replies)
}

pub(super) async fn cancel(
    pool: &PgPool,
    batch: &[CancelOrder],
) -> Result<Vec<CancelReply>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let order_ids = batch.iter().map(|command| command.order_id);
    let mut orders = lock(&mut transaction, order_ids).await?;
    let decided = orders.cancel(batch);
    let moved = orders.moved(&decided.entries);
    write(&mut transaction, &moved, &decided.entries).await?;
    outbox::postgres::insert(&mut transaction, &decided.events).await?;
    transaction.commit().await?;
    Ok(decided.replies)
}

/// Locks those of these orders that exist until the transaction ends, and reads them.
async fn lock(
    connection: &mut PgConnection,
    order_ids: impl Iterator<Item = OrderId>,
) -> Result<TrackedOrders, sqlx::Error> {
    let orders: Vec<TrackedRow> = sqlx::query_as(LOCK)
        .bind(column(&distinct(order_ids), |id| id.as_uuid()))
        .fetch_all(connection)
        .await?;
    rows::read::<_, Tracked, _>(orders)
}

async fn write(
    connection: &mut PgConnection,
    moved: &[&Tracked],
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(WRITE)
        .bind(column(moved, |tracked| tracked.order.id.as_uuid()))
        .bind(column(moved, |tracked| tracked.order.status.name()))
        .bind(column(moved, |tracked| {
            rows::reason_column(tracked.order.status)
        }))
        .bind(column(moved, |tracked| rows::signed(tracked.order.version)))
        .bind(column(moved, |tracked| {
            rows::signed(tracked.processing_sequence)
        }))
        .bind(column(moved, |tracked| {
            tracked.order.updated_at.unix_millis()
        }))
        .bind(column(entries, |entry| entry.order_id.as_uuid()))
        .bind(column(entries, |entry| rows::signed(entry.version)))
        .bind(column(entries, |entry| entry.event_id))
        .bind(column(entries, |entry| entry.event_type.name()))
        .bind(column(entries, |entry| entry.status.name()))
        .bind(column(entries, |entry| rows::reason_column(entry.status)))
        .bind(column(entries, |entry| entry.occurred_at.unix_millis()))
        .bind(column(entries, |entry| entry.cause_id))
        .execute(connection)
        .await?;
    Ok(())
}
