//! Applying outcomes and requesting cancellations, in multi-row statements.

use consumer::inbox;
use sqlx::{QueryBuilder, SqliteConnection};

use super::read::{self, ROWS_PER_STATEMENT};
use crate::domain::{HistoryEntry, OrderId};
use crate::store::order_store::{Applied, ApplyOutcome, CancelOrder, CancelReply};
use crate::store::rows::{self, TrackedRow};
use crate::store::tracked::{Tracked, TrackedOrders, distinct};

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    batch: &[ApplyOutcome],
) -> Result<Vec<Applied>, sqlx::Error> {
    let order_ids = batch.iter().map(|outcome| outcome.order_id);
    let mut orders = read(connection, order_ids).await?;
    let decided = orders.apply(batch);
    let moved = orders.moved(&decided.entries);
    write(connection, &moved, &decided.entries).await?;
    let new = inbox::sqlite::accept(connection, &decided.applied).await?;
    rows::all_new(&decided.applied, &new)?;
    Ok(decided.replies)
}

pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    batch: &[CancelOrder],
) -> Result<Vec<CancelReply>, sqlx::Error> {
    let order_ids = batch.iter().map(|command| command.order_id);
    let mut orders = read(connection, order_ids).await?;
    let decided = orders.cancel(batch);
    let moved = orders.moved(&decided.entries);
    write(connection, &moved, &decided.entries).await?;
    outbox::sqlite::insert(connection, &decided.events).await?;
    Ok(decided.replies)
}

/// Reads those of these orders that exist. No row locks: SQLite has one write transaction at a time.
async fn read(
    connection: &mut SqliteConnection,
    order_ids: impl Iterator<Item = OrderId>,
) -> Result<TrackedOrders, sqlx::Error> {
    let order_ids = distinct(order_ids);
    let mut orders: Vec<TrackedRow> = Vec::with_capacity(order_ids.len());
    for chunk in order_ids.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::new("SELECT processing_sequence, ");
        query.push(read::ORDER_COLUMNS);
        query.push(" FROM orders WHERE order_id IN (");
        read::push_ids(&mut query, chunk);
        query.push(")");
        orders.extend(query.build_query_as().fetch_all(&mut *connection).await?);
    }
    rows::read::<_, Tracked, _>(orders)
}

async fn write(
    connection: &mut SqliteConnection,
    moved: &[&Tracked],
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    update_orders(connection, moved).await?;
    insert_history(connection, entries).await
}

async fn update_orders(
    connection: &mut SqliteConnection,
    moved: &[&Tracked],
) -> Result<(), sqlx::Error> {
    for chunk in moved.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::new(
            "UPDATE orders SET status = moved.column2, rejection_reason = moved.column3, \
             version = moved.column4, processing_sequence = moved.column5, \
             updated_at = moved.column6 FROM (",
        );
        statement.push_values(chunk, |mut row, tracked| {
            let order = &tracked.order;
            row.push_bind(order.id.as_uuid())
                .push_bind(order.status.name())
                .push_bind(rows::reason_column(order.status))
                .push_bind(rows::signed(order.version))
                .push_bind(rows::signed(tracked.processing_sequence))
                .push_bind(order.updated_at.unix_millis());
        });
        statement.push(") AS moved WHERE orders.order_id = moved.column1");
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn insert_history(
    connection: &mut SqliteConnection,
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    for chunk in entries.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::new(
            "INSERT INTO order_events (order_id, version, event_id, event_type, status, \
             rejection_reason, occurred_at, cause_id) ",
        );
        statement.push_values(chunk, |mut row, entry| {
            row.push_bind(entry.order_id.as_uuid())
                .push_bind(rows::signed(entry.version))
                .push_bind(entry.event_id)
                .push_bind(entry.event_type.name())
                .push_bind(entry.status.name())
                .push_bind(rows::reason_column(entry.status))
                .push_bind(entry.occurred_at.unix_millis())
                .push_bind(entry.cause_id);
        });
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}
