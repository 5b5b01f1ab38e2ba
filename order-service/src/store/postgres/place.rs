//! Placing orders: one statement, which is its own transaction, per batch; a second one if the batch contains retries.

use std::collections::HashSet;
use std::sync::Arc;

use outbox::hand_over::PendingRows;
use outbox::postgres::RecordColumns;
use outbox::{HandOver, InsertedRows};
use sql::columns::column;
use sqlx::{PgExecutor, PgPool};

use crate::conversion::encode_body;
use crate::domain::{CustomerId, OrderId, RequestId};
use crate::store::order_store::{PlaceOrder, Placed};
use crate::store::rows::SavedRow;
use crate::store::saved::{self, SavedOrders};

/// The constants equal those of [`Order::placed`](crate::domain::Order::placed). A known (request id, customer) is skipped;
/// an order id that is in use is an error. Returns the events of the new orders, each the first of its order.
const PLACE: &str = "
    WITH command AS (
        SELECT order_id, customer_id, request_id, fingerprint, body, availability, placed_at, event_id,
               shard, topic, key, headers, payload, payment_token
        FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[], $6::text[], $7::bigint[],
                    $8::uuid[], $9::smallint[], $10::text[], $11::text[], $12::bytea[], $13::bytea[], $14::text[])
             AS command (order_id, customer_id, request_id, fingerprint, body, availability, placed_at, event_id,
                         shard, topic, key, headers, payload, payment_token)
    ), placed AS (
        INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version,
                            processing_sequence, body, availability, created_at, updated_at)
        SELECT order_id, customer_id, request_id, fingerprint, 'ACCEPTED', 1, 0, body, availability,
               placed_at, placed_at
        FROM command
        ON CONFLICT (request_id, customer_id) DO NOTHING
        RETURNING order_id
    ), entry AS (
        INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at)
        SELECT order_id, 1, event_id, 'OrderPlaced', 'ACCEPTED', placed_at
        FROM placed JOIN command USING (order_id)
    ), open AS (
        INSERT INTO open_orders (order_id, created_at, payment_token)
        SELECT order_id, placed_at, payment_token
        FROM placed JOIN command USING (order_id)
    ), event AS (
        INSERT INTO outbox (shard, topic, key, headers, payload)
        SELECT shard, topic, key, headers, payload
        FROM placed JOIN command USING (order_id)
        RETURNING seq, key
    )
    SELECT seq, key FROM event";

const FIND_SAVED: &str = "
    SELECT request_id, fingerprint, order_id, customer_id, status, rejection_reason, version, body,
           availability, created_at, updated_at
    FROM UNNEST($1::text[], $2::uuid[]) AS known (customer_id, request_id)
    JOIN orders USING (customer_id, request_id)";

pub(super) async fn place(
    pool: &PgPool,
    batch: &[PlaceOrder],
    hand_over: &HandOver,
) -> Result<Vec<Placed>, sqlx::Error> {
    let commands = in_lock_order(batch);
    let inserted = insert(pool, &commands).await?;
    let new = new_orders(&commands, &inserted);
    hand_over.committed(inserted);
    let retries = saved::retries(commands, &new);
    if retries.is_empty() {
        return Ok(vec![Placed::New; batch.len()]);
    }
    find_saved(pool, &retries).await?.replies(batch, &new)
}

/// Inserting an idempotency key waits for a concurrent insert of the same key. All replicas insert in the same order, so
/// they never deadlock. The sort is stable: of equal keys in a batch the first is new.
fn in_lock_order(batch: &[PlaceOrder]) -> Vec<&PlaceOrder> {
    let mut commands: Vec<&PlaceOrder> = batch.iter().collect();
    commands.sort_by_key(|command| (command.request_id, &command.order.customer_id));
    commands
}

/// The orders whose event was inserted.
fn new_orders(commands: &[&PlaceOrder], inserted: &InsertedRows) -> HashSet<OrderId> {
    let keys = inserted.rows().iter().map(|row| row.record.key.as_str());
    let keys: HashSet<&str> = keys.collect();
    let new = commands
        .iter()
        .filter(|c| keys.contains(c.event.key.as_str()));
    new.map(|c| c.order.id).collect()
}

/// Inserts the orders whose idempotency key is new, with their first entries and events; returns the events.
async fn insert(pool: &PgPool, commands: &[&PlaceOrder]) -> Result<InsertedRows, sqlx::Error> {
    let pending = PendingRows::new(commands.iter().map(|c| Arc::clone(&c.event)));
    let events = RecordColumns::new(commands.iter().map(|c| &c.event));
    let returned: Vec<(i64, String)> = sqlx::query_as(PLACE)
        .bind(column(commands, |c| c.order.id.as_uuid()))
        .bind(column(commands, |c| c.order.customer_id.as_str()))
        .bind(column(commands, |c| c.request_id.as_uuid()))
        .bind(column(commands, |c| c.fingerprint.as_bytes().as_slice()))
        .bind(column(commands, |c| encode_body(&c.order.lines)))
        .bind(column(commands, |c| c.order.availability.name()))
        .bind(column(commands, |c| c.order.created_at.unix_millis()))
        .bind(column(commands, |c| c.event_id))
        .bind(events.shards)
        .bind(events.topics)
        .bind(events.keys)
        .bind(events.headers)
        .bind(events.payloads)
        .bind(column(commands, |c| c.payment_token.expose()))
        .fetch_all(pool)
        .await?;
    let first = returned.into_iter().map(|(seq, key)| (seq, key, None));
    Ok(pending.inserted(first.collect()))
}

pub(super) async fn find_saved(
    executor: impl PgExecutor<'_>,
    keys: &[(&CustomerId, RequestId)],
) -> Result<SavedOrders, sqlx::Error> {
    let saved: Vec<SavedRow> = sqlx::query_as(FIND_SAVED)
        .bind(column(keys, |(customer_id, _)| customer_id.as_str()))
        .bind(column(keys, |(_, request_id)| request_id.as_uuid()))
        .fetch_all(executor)
        .await?;
    SavedOrders::read(saved)
}
