//! Applying outcomes and requesting cancellations: one transaction each, behind the locks of the orders; state and history
//! are written in one statement.

use consumer::inbox;
use outbox::InsertedRows;
use sql::columns::{column, signed};
use sqlx::PgConnection;

use crate::domain::HistoryEntry;
use crate::store::rows::{self, TrackedRow};
use crate::store::tracked::{Decided, OrderCommand, Tracked, TrackedOrders, order_ids};

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
    ), ended AS (
        DELETE FROM open_orders WHERE order_id = ANY($15)
    )
    INSERT INTO order_events (order_id, version, event_id, event_type, status, rejection_reason,
                              occurred_at, cause_id)
    SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, cause_id
    FROM UNNEST($7::uuid[], $8::bigint[], $9::uuid[], $10::text[], $11::text[], $12::text[],
                $13::bigint[], $14::uuid[])
         AS entry (order_id, version, event_id, event_type, status, rejection_reason, occurred_at,
                   cause_id)";

/// Locks the orders of the batch, as far as they exist, until the transaction ends, and reads them.
pub(super) async fn lock<C: OrderCommand>(
    connection: &mut PgConnection,
    batch: &[C],
) -> Result<TrackedOrders, sqlx::Error> {
    let orders: Vec<TrackedRow> = sqlx::query_as(LOCK)
        .bind(column(&order_ids(batch), |id| id.as_uuid()))
        .fetch_all(connection)
        .await?;
    rows::read::<_, Tracked, _>(orders)
}

pub(super) async fn write<R>(
    connection: &mut PgConnection,
    orders: &TrackedOrders,
    decided: &Decided<R>,
) -> Result<InsertedRows, sqlx::Error> {
    write_orders(connection, &orders.changed(decided), decided).await?;
    let inserted = outbox::postgres::insert(connection, &decided.outbox).await?;
    let new = inbox::postgres::accept(connection, &decided.inbox).await?;
    rows::all_new(&decided.inbox, &new)?;
    Ok(inserted)
}

async fn write_orders<R>(
    connection: &mut PgConnection,
    moved: &[&Tracked],
    decided: &Decided<R>,
) -> Result<(), sqlx::Error> {
    let entries: &[HistoryEntry] = &decided.entries;
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query(WRITE)
        .bind(column(moved, |moved| moved.order.id.as_uuid()))
        .bind(column(moved, |moved| moved.order.status.name()))
        .bind(column(moved, |moved| {
            rows::reason_column(moved.order.status)
        }))
        .bind(column(moved, |moved| signed(moved.order.version)))
        .bind(column(moved, |moved| signed(moved.processing_sequence)))
        .bind(column(moved, |moved| moved.order.updated_at.unix_millis()))
        .bind(column(entries, |entry| entry.order_id.as_uuid()))
        .bind(column(entries, |entry| signed(entry.version)))
        .bind(column(entries, |entry| entry.event_id))
        .bind(column(entries, |entry| entry.event_type.name()))
        .bind(column(entries, |entry| entry.status.name()))
        .bind(column(entries, |entry| rows::reason_column(entry.status)))
        .bind(column(entries, |entry| entry.occurred_at.unix_millis()))
        .bind(column(entries, |entry| entry.cause_id))
        .bind(column(&decided.ended(), |order_id| order_id.as_uuid()))
        .execute(connection)
        .await?;
    Ok(())
}
