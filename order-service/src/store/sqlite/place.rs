//! Placing orders: three statements per batch, a fourth one if the batch contains retries.

use std::collections::HashSet;

use sqlx::{QueryBuilder, SqliteConnection};
use uuid::Uuid;

use super::read::{ORDER_COLUMNS, ROWS_PER_STATEMENT};
use super::tracked::insert_history;
use crate::conversion;
use crate::domain::{CustomerId, NewOrder, OrderId, RequestId};
use crate::store::order_store::{PlaceOrder, Placed};
use crate::store::rows::{self, SavedRow};
use crate::store::saved::SavedOrders;

pub(super) async fn place(
    connection: &mut SqliteConnection,
    batch: &[PlaceOrder],
) -> Result<Vec<Placed>, sqlx::Error> {
    let inserted = insert_orders(connection, batch).await?;
    let (new, retries): (Vec<_>, Vec<_>) = batch
        .iter()
        .partition(|command| inserted.contains(&command.order.id));

    let entries: Vec<_> = new
        .iter()
        .map(|command| command.order.placed_entry(command.event_id))
        .collect();
    insert_history(connection, &entries).await?;
    let events: Vec<_> = new.iter().map(|command| &command.event).collect();
    outbox::sqlite::insert(connection, &events).await?;

    let retries: Vec<_> = retries
        .iter()
        .map(|command| (&command.order.customer_id, command.request_id))
        .collect();
    let saved = find_saved(connection, &retries).await?;
    saved.replies(batch, &inserted)
}

pub(super) async fn placed_before(
    connection: &mut SqliteConnection,
    request: &NewOrder,
) -> Result<Option<Placed>, sqlx::Error> {
    let key = (&request.customer_id, request.request_id);
    let saved = find_saved(connection, &[key]).await?;
    Ok(saved.reply_to(request))
}

/// Inserts the orders whose idempotency key is new; returns their ids.
async fn insert_orders(
    connection: &mut SqliteConnection,
    batch: &[PlaceOrder],
) -> Result<HashSet<OrderId>, sqlx::Error> {
    let mut inserted: Vec<Uuid> = Vec::with_capacity(batch.len());
    for chunk in batch.chunks(ROWS_PER_STATEMENT) {
        let mut statement = QueryBuilder::new(
            "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, \
             processing_sequence, body, availability, created_at, updated_at) ",
        );
        statement.push_values(chunk, |mut row, command| {
            let order = &command.order;
            row.push_bind(order.id.as_uuid())
                .push_bind(order.customer_id.as_str())
                .push_bind(command.request_id.as_uuid())
                .push_bind(command.fingerprint.as_bytes().as_slice())
                .push_bind(order.status.name())
                .push_bind(rows::signed(order.version))
                .push("0")
                .push_bind(conversion::encode_body(&order.lines))
                .push_bind(order.availability.name())
                .push_bind(order.created_at.unix_millis())
                .push_bind(order.updated_at.unix_millis());
        });
        statement.push(" ON CONFLICT DO NOTHING RETURNING order_id");
        let statement = statement.build_query_scalar::<Uuid>();
        inserted.extend(statement.fetch_all(&mut *connection).await?);
    }
    Ok(inserted.into_iter().map(OrderId::new).collect())
}

async fn find_saved(
    connection: &mut SqliteConnection,
    keys: &[(&CustomerId, RequestId)],
) -> Result<SavedOrders, sqlx::Error> {
    let mut saved: Vec<SavedRow> = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::new("SELECT request_id, fingerprint, ");
        query.push(ORDER_COLUMNS);
        query.push(" FROM (");
        query.push_values(chunk, |mut row, (customer_id, request_id)| {
            row.push_bind(customer_id.as_str())
                .push_bind(request_id.as_uuid());
        });
        // CROSS JOIN fixes the join order: one lookup in the unique index per key. For `IN (VALUES …)` SQLite scans the
        // whole index.
        query.push(
            ") AS known CROSS JOIN orders \
             ON orders.customer_id = known.column1 AND orders.request_id = known.column2",
        );
        saved.extend(query.build_query_as().fetch_all(&mut *connection).await?);
    }
    SavedOrders::read(saved)
}
