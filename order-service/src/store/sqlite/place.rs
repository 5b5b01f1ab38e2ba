//! Placing orders: three statements for a whole batch of new ones, one more when some were placed before.

use std::collections::HashSet;

use outbox;
use sqlx::{QueryBuilder, SqliteConnection};
use uuid::Uuid;

use super::ROWS_PER_STATEMENT;
use super::read::ORDER_COLUMNS;
use super::tracked::insert_history;
use crate::convert;
use crate::domain::{CustomerId, NewOrder, OrderId, RequestId};
use crate::store::rows::{self, SavedRow};
use crate::store::saved::SavedOrders;
use crate::store::{PlaceOrder, Placed};

/// Stores what is new, and finds what is not.
pub(super) async fn place(
    connection: &mut SqliteConnection,
    batch: &[PlaceOrder],
) -> Result<Vec<Placed>, sqlx::Error> {
    let inserted = insert_orders(connection, batch).await?;
    let (new, known): (Vec<_>, Vec<_>) = batch
        .iter()
        .partition(|command| inserted.contains(&command.order.id));

    let entries: Vec<_> = new
        .iter()
        .map(|command| command.order.placed_entry(command.event_id))
        .collect();
    insert_history(connection, &entries).await?;
    let events: Vec<_> = new.iter().map(|command| &command.event).collect();
    outbox::sqlite::insert(connection, &events).await?;

    let known: Vec<_> = known
        .iter()
        .map(|command| (&command.order.customer_id, command.request_id))
        .collect();
    let saved = find_saved(connection, &known).await?;
    saved.answers(batch, &inserted)
}

/// What became of a request that was placed before.
pub(super) async fn placed_before(
    connection: &mut SqliteConnection,
    request: &NewOrder,
) -> Result<Option<Placed>, sqlx::Error> {
    let intent = (&request.customer_id, request.request_id);
    let saved = find_saved(connection, &[intent]).await?;
    Ok(saved.answer_to(request))
}

/// Inserts the rows whose intent is new and returns their ids.
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
                .push_bind(convert::encode_body(&order.lines))
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
    intents: &[(&CustomerId, RequestId)],
) -> Result<SavedOrders, sqlx::Error> {
    let mut saved: Vec<SavedRow> = Vec::with_capacity(intents.len());
    for chunk in intents.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::new("SELECT request_id, fingerprint, ");
        query.push(ORDER_COLUMNS);
        query.push(" FROM (");
        query.push_values(chunk, |mut row, (customer_id, request_id)| {
            row.push_bind(customer_id.as_str())
                .push_bind(request_id.as_uuid());
        });
        // CROSS JOIN keeps this sequence: one look into the unique index per intent. For `IN (VALUES …)` SQLite reads
        // the whole index instead.
        query.push(
            ") AS known CROSS JOIN orders \
             ON orders.customer_id = known.column1 AND orders.request_id = known.column2",
        );
        saved.extend(query.build_query_as().fetch_all(&mut *connection).await?);
    }
    SavedOrders::read(saved)
}
