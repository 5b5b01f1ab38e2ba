//! Applying outcomes and requesting cancellations, in multi-row statements.

use consumer::inbox;
use outbox::InsertedRows;
use sql::columns::signed;
use sql::sqlite::{Row, for_keys, multi_row};
use sqlx::SqliteConnection;

use super::open_orders;
use crate::domain::HistoryEntry;
use crate::store::rows::{self, TrackedRow};
use crate::store::tracked::{Decided, OrderCommand, Tracked, TrackedOrders, order_ids};

/// Reads the orders of the batch, as far as they exist. No row locks: SQLite has one write transaction at a time.
pub(super) async fn read<C: OrderCommand>(
    connection: &mut SqliteConnection,
    batch: &[C],
) -> Result<TrackedOrders, sqlx::Error> {
    let select = "SELECT processing_sequence, order_id, customer_id, status, rejection_reason, version, body, \
                  availability, created_at, updated_at FROM orders WHERE order_id IN";
    let order_ids = order_ids(batch);
    let mut orders: Vec<TrackedRow> = Vec::with_capacity(order_ids.len());
    for mut query in for_keys(select, &order_ids, |order_id| order_id.as_uuid()) {
        orders.extend(query.build_query_as().fetch_all(&mut *connection).await?);
    }
    rows::read::<_, Tracked, _>(orders)
}

pub(super) async fn write<R>(
    connection: &mut SqliteConnection,
    orders: &TrackedOrders,
    decided: &Decided<R>,
) -> Result<InsertedRows, sqlx::Error> {
    update_orders(connection, &orders.changed(decided)).await?;
    insert_history(connection, &decided.entries).await?;
    open_orders::delete(connection, &decided.ended()).await?;
    let inserted = outbox::sqlite::insert(connection, &decided.outbox).await?;
    let new = inbox::sqlite::accept(connection, &decided.inbox).await?;
    rows::all_new(&decided.inbox, &new)?;
    Ok(inserted)
}

async fn update_orders(
    connection: &mut SqliteConnection,
    moved: &[&Tracked],
) -> Result<(), sqlx::Error> {
    let update = "UPDATE orders SET status = moved.column2, rejection_reason = moved.column3, \
                  version = moved.column4, processing_sequence = moved.column5, \
                  updated_at = moved.column6 FROM (";
    let bind = |mut row: Row<'_>, tracked: &&Tracked| {
        let order = &tracked.order;
        row.push_bind(order.id.as_uuid())
            .push_bind(order.status.name())
            .push_bind(rows::reason_column(order.status))
            .push_bind(signed(order.version))
            .push_bind(signed(tracked.processing_sequence))
            .push_bind(order.updated_at.unix_millis());
    };
    let matching = ") AS moved WHERE orders.order_id = moved.column1";
    for mut statement in multi_row(update, moved, bind, matching) {
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn insert_history(
    connection: &mut SqliteConnection,
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO order_events (order_id, version, event_id, event_type, status, \
                  rejection_reason, occurred_at, cause_id) ";
    let bind = |mut row: Row<'_>, entry: &HistoryEntry| {
        row.push_bind(entry.order_id.as_uuid())
            .push_bind(signed(entry.version))
            .push_bind(entry.event_id)
            .push_bind(entry.event_type.name())
            .push_bind(entry.status.name())
            .push_bind(rows::reason_column(entry.status))
            .push_bind(entry.occurred_at.unix_millis())
            .push_bind(entry.cause_id);
    };
    for mut statement in multi_row(insert, entries, bind, "") {
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}
