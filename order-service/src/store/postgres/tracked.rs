//! Orders that a batch moves on: locked, and written in one statement.

use sqlx::PgConnection;

use super::column;
use crate::domain::{HistoryEntry, OrderId};
use crate::store::rows::{self, TrackedRow};
use crate::store::tracked::{Tracked, TrackedOrders, distinct};

/// Replicas that move the same orders lock them in the same order, and never wait in a circle.
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

/// Locks the orders that exist among these, until the transaction ends, and reads them as they are then.
pub(super) async fn lock(
    connection: &mut PgConnection,
    order_ids: impl Iterator<Item = OrderId>,
) -> Result<TrackedOrders, sqlx::Error> {
    let orders: Vec<TrackedRow> = sqlx::query_as(LOCK)
        .bind(column(&distinct(order_ids), |id| id.as_uuid()))
        .fetch_all(connection)
        .await?;
    rows::read::<_, Tracked, _>(orders)
}

/// Writes what happened: the state of every order that moved, and the entries to the history.
pub(super) async fn write(
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
