//! Placing orders: four statements per batch, a fifth one if the batch contains retries.

use std::collections::HashSet;
use std::sync::Arc;

use outbox::InsertedRows;
use sql::columns::{column, signed};
use sql::sqlite::{Row, multi_row};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::open_orders;
use super::tracked::insert_history;
use crate::conversion;
use crate::domain::{CustomerId, OrderId, RequestId};
use crate::store::order_store::{PlaceOrder, Placed};
use crate::store::rows::SavedRow;
use crate::store::saved::{self, SavedOrders};

pub(super) async fn place(
    connection: &mut SqliteConnection,
    batch: &[PlaceOrder],
) -> Result<(Vec<Placed>, InsertedRows), sqlx::Error> {
    let new_orders = insert_orders(connection, batch).await?;
    let is_new = |command: &&PlaceOrder| new_orders.contains(&command.order.id);
    let new: Vec<_> = batch.iter().filter(is_new).collect();
    let entries = column(&new, |new| new.order.placed_entry(new.event_id));
    insert_history(connection, &entries).await?;
    open_orders::insert(connection, &new).await?;
    let events = column(&new, |new| Arc::clone(&new.event));
    let inserted = outbox::sqlite::insert(connection, &events).await?;
    let saved = find_saved(connection, &saved::retries(batch, &new_orders)).await?;
    Ok((saved.replies(batch, &new_orders)?, inserted))
}

/// Inserts the orders whose idempotency key is new; returns their ids.
async fn insert_orders(
    connection: &mut SqliteConnection,
    batch: &[PlaceOrder],
) -> Result<HashSet<OrderId>, sqlx::Error> {
    let insert = "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, \
                  processing_sequence, body, availability, created_at, updated_at) ";
    let bind = |mut row: Row<'_>, command: &PlaceOrder| {
        let order = &command.order;
        row.push_bind(order.id.as_uuid())
            .push_bind(order.customer_id.as_str())
            .push_bind(command.request_id.as_uuid())
            .push_bind(command.fingerprint.as_bytes().as_slice())
            .push_bind(order.status.name())
            .push_bind(signed(order.version))
            .push("0")
            .push_bind(conversion::encode_body(&order.lines))
            .push_bind(order.availability.name())
            .push_bind(order.created_at.unix_millis())
            .push_bind(order.updated_at.unix_millis());
    };
    let skip_known = " ON CONFLICT DO NOTHING RETURNING order_id";
    let mut inserted = HashSet::with_capacity(batch.len());
    for mut statement in multi_row(insert, batch, bind, skip_known) {
        let statement = statement.build_query_scalar::<Uuid>();
        let order_ids = statement.fetch_all(&mut *connection).await?;
        inserted.extend(order_ids.into_iter().map(OrderId::new));
    }
    Ok(inserted)
}

pub(super) async fn find_saved(
    connection: &mut SqliteConnection,
    keys: &[(&CustomerId, RequestId)],
) -> Result<SavedOrders, sqlx::Error> {
    let select = "SELECT request_id, fingerprint, order_id, customer_id, status, rejection_reason, version, body, \
                  availability, created_at, updated_at FROM (";
    let bind = |mut row: Row<'_>, (customer_id, request_id): &(&CustomerId, RequestId)| {
        row.push_bind(customer_id.as_str())
            .push_bind(request_id.as_uuid());
    };
    // CROSS JOIN fixes the join order: one lookup in the unique index per key. For `IN (VALUES …)` SQLite scans the whole
    // index.
    let join = ") AS known CROSS JOIN orders \
                ON orders.customer_id = known.column1 AND orders.request_id = known.column2";
    let mut saved: Vec<SavedRow> = Vec::with_capacity(keys.len());
    for mut query in multi_row(select, keys, bind, join) {
        saved.extend(query.build_query_as().fetch_all(&mut *connection).await?);
    }
    SavedOrders::read(saved)
}
