//! Orders that a batch moves on: read together, changed in memory by the rules of the domain, written together.

use std::collections::HashMap;

use sqlx::{QueryBuilder, SqliteConnection};

use super::{ROWS_PER_STATEMENT, rows};
use crate::domain::{HistoryEntry, Order, OrderId};

/// An order inside a batch.
#[derive(Debug)]
pub(super) struct Tracked {
    /// The order as far as the batch has moved it.
    pub(super) order: Order,
    /// Position of the last outcome applied.
    pub(super) processing_sequence: u64,
}

/// The orders of a batch.
pub(super) type TrackedOrders = HashMap<OrderId, Tracked>;

/// Reads the orders that exist among these.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    mut order_ids: Vec<OrderId>,
) -> Result<TrackedOrders, sqlx::Error> {
    order_ids.sort_unstable();
    order_ids.dedup();
    let mut orders = TrackedOrders::with_capacity(order_ids.len());
    for chunk in order_ids.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::new("SELECT processing_sequence, ");
        query.push(rows::ORDER_COLUMNS);
        query.push(" FROM orders WHERE order_id IN (");
        let mut list = query.separated(", ");
        for order_id in chunk {
            list.push_bind(order_id.as_uuid());
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            let order = rows::order(&row)?;
            let processing_sequence = rows::unsigned(&row, "processing_sequence")?;
            orders.insert(
                order.id,
                Tracked {
                    order,
                    processing_sequence,
                },
            );
        }
    }
    Ok(orders)
}

/// Writes what happened: the entries to the history, and the state of every order that has one.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    orders: &TrackedOrders,
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    let mut moved: Vec<OrderId> = entries.iter().map(|entry| entry.order_id).collect();
    moved.sort_unstable();
    moved.dedup();
    let moved: Vec<&Tracked> = moved.iter().filter_map(|id| orders.get(id)).collect();
    update_orders(connection, &moved).await?;
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

/// Appends entries to the history.
pub(super) async fn insert_history(
    connection: &mut SqliteConnection,
    entries: &[HistoryEntry],
) -> Result<(), sqlx::Error> {
    for chunk in entries.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::new(
            "INSERT INTO order_events (order_id, version, event_id, event_type, status, \
             rejection_reason, occurred_at) ",
        );
        statement.push_values(chunk, |mut row, entry| {
            row.push_bind(entry.order_id.as_uuid())
                .push_bind(rows::signed(entry.version))
                .push_bind(entry.event_id)
                .push_bind(entry.event_type.name())
                .push_bind(entry.status.name())
                .push_bind(rows::reason_column(entry.status))
                .push_bind(entry.occurred_at.unix_millis());
        });
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}
