//! Writing what a batch changes: one statement for all tables, so that row locks are held for one round trip less per
//! table.

use outbox::OutboxRecord;
use outbox::postgres::RecordColumns;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use crate::catalogue::{Catalogue, CatalogueEntry};
use crate::conversion;
use crate::domain::OrderId;
use crate::store::unit_of_work::{Changes, Saga};
use crate::store::{StoreError, saga_row};

/// A statement whose values are being bound.
type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// All tables at once: one array per column, empty where a batch has nothing for a table.
///
/// `moved` and `opened` are read by the final `SELECT` and therefore run before the parts that nobody reads: the outbox
/// gets its rows when every saga is locked, the new ones included. Each part writes in the order of its arrays.
///
/// The conditions of `moved` repeat what the batch has decided. Should a batch ever be shown stock that changes before
/// it is written, it is taken back as a whole instead of selling a piece twice.
const WRITE: &str = "
    WITH moved AS (
        UPDATE stock
        SET available = stock.available + change.available,
            reserved = stock.reserved + change.reserved,
            shipped = stock.shipped + change.shipped
        FROM UNNEST($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS change (sku, available, reserved, shipped)
        WHERE stock.sku = change.sku
          AND stock.available + change.available >= 0 AND stock.reserved + change.reserved >= 0
        RETURNING 1
    ), opened AS (
        INSERT INTO sagas (order_id, state, reason, next_sequence, lines, updated_at)
        SELECT order_id, state, reason, next_sequence, lines, $1
        FROM UNNEST($6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::bytea[])
             AS saga (order_id, state, reason, next_sequence, lines)
        ON CONFLICT (order_id) DO NOTHING
        RETURNING 1
    ), advanced AS (
        UPDATE sagas
        SET state = step.state, reason = step.reason, next_sequence = step.next_sequence, updated_at = $1
        FROM UNNEST($11::uuid[], $12::text[], $13::text[], $14::bigint[])
             AS step (order_id, state, reason, next_sequence)
        WHERE sagas.order_id = step.order_id
    ), paid AS (
        INSERT INTO payments (order_id, capture_id, state, currency, minor_units, updated_at)
        SELECT order_id, capture_id, 'CAPTURED', currency, minor_units, $1
        FROM UNNEST($15::uuid[], $16::text[], $17::text[], $18::bigint[])
             AS payment (order_id, capture_id, currency, minor_units)
    ), shipped AS (
        INSERT INTO shipments (order_id, shipment_id, created_at)
        SELECT order_id, shipment_id, $1
        FROM UNNEST($19::uuid[], $20::text[]) AS shipment (order_id, shipment_id)
    ), announced AS (
        INSERT INTO outbox (shard, topic, key, headers, payload)
        SELECT shard, topic, key, headers, payload
        FROM UNNEST($21::smallint[], $22::text[], $23::text[], $24::bytea[], $25::bytea[])
             AS record (shard, topic, key, headers, payload)
    ), remembered AS (
        INSERT INTO inbox (event_id, order_id, sequence, received_at)
        SELECT event_id, order_id, sequence, $1
        FROM UNNEST($26::uuid[], $27::uuid[], $28::bigint[]) AS entry (event_id, order_id, sequence)
        ON CONFLICT (event_id) DO NOTHING
    )
    SELECT (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM opened) AS opened";

/// Writes all changes of a batch into its transaction.
pub(super) async fn changes(
    connection: &mut PgConnection,
    changes: &Changes,
    at: i64,
) -> Result<(), StoreError> {
    let written = bound(changes, at).fetch_one(&mut *connection).await?;
    if count(&written, "moved")? < changes.stock.len() {
        return Err(StoreError::StockChanged);
    }
    if count(&written, "opened")? < changes.opened.len() {
        return Err(StoreError::SagaOpened);
    }
    if !changes.refunds.is_empty() {
        refund_payments(connection, &changes.refunds, at).await?;
    }
    Ok(())
}

fn count(written: &PgRow, part: &str) -> Result<usize, sqlx::Error> {
    let rows: i64 = written.try_get(part)?;
    Ok(usize::try_from(rows).unwrap_or(0))
}

/// A statement of its own, because the one for all tables does not see the payments that it inserts. Refunds are rare,
/// and an order that was never captured has no row to change.
async fn refund_payments(
    connection: &mut PgConnection,
    orders: &[OrderId],
    at: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE payments SET state = 'REFUNDED', updated_at = $1 WHERE order_id = ANY($2)")
        .bind(at)
        .bind(column(orders, OrderId::as_uuid))
        .execute(connection)
        .await?;
    Ok(())
}

/// The statement with its values, in the order of its parts.
fn bound(changes: &Changes, at: i64) -> Statement<'_> {
    let statement = sqlx::query(WRITE).bind(at);
    let statement = bind_stock(statement, changes);
    let statement = bind_sagas(statement, &changes.opened).bind(stored_orders(&changes.opened));
    let statement = bind_sagas(statement, &changes.advanced);
    let statement = bind_payments(statement, changes);
    let statement = bind_shipments(statement, changes);
    let statement = bind_outbox(statement, &changes.outbox);
    bind_inbox(statement, changes)
}

fn bind_stock<'q>(statement: Statement<'q>, changes: &'q Changes) -> Statement<'q> {
    let moves: Vec<_> = changes.stock.iter().collect();
    statement
        .bind(column(&moves, |(sku, _)| sku.as_str()))
        .bind(column(&moves, |(_, change)| change.available))
        .bind(column(&moves, |(_, change)| change.reserved))
        .bind(column(&moves, |(_, change)| change.shipped))
}

fn bind_sagas<'q>(statement: Statement<'q>, sagas: &[(OrderId, Saga)]) -> Statement<'q> {
    let states = column(sagas, |(_, saga)| saga_row::columns(saga.state));
    statement
        .bind(column(sagas, |(order_id, _)| order_id.as_uuid()))
        .bind(column(&states, |(state, _)| *state))
        .bind(column(&states, |(_, reason)| *reason))
        .bind(column(sagas, |(_, saga)| saga_row::next_sequence(saga)))
}

fn stored_orders(sagas: &[(OrderId, Saga)]) -> Vec<Vec<u8>> {
    column(sagas, |(order_id, saga)| {
        conversion::stored_order(*order_id, &saga.demand)
    })
}

fn bind_payments<'q>(statement: Statement<'q>, changes: &'q Changes) -> Statement<'q> {
    let payments = &changes.payments;
    statement
        .bind(column(payments, |(order_id, ..)| order_id.as_uuid()))
        .bind(column(payments, |(_, capture_id, _)| capture_id.as_str()))
        .bind(column(payments, |(.., amount)| {
            amount.currency().to_string()
        }))
        .bind(column(payments, |(.., amount)| amount.minor_units()))
}

fn bind_shipments<'q>(statement: Statement<'q>, changes: &'q Changes) -> Statement<'q> {
    let shipments = &changes.shipments;
    statement
        .bind(column(shipments, |(order_id, _)| order_id.as_uuid()))
        .bind(column(shipments, |(_, shipment)| shipment.to_string()))
}

fn bind_outbox<'q>(statement: Statement<'q>, records: &[OutboxRecord]) -> Statement<'q> {
    let columns = RecordColumns::new(records);
    statement
        .bind(columns.shards)
        .bind(columns.topics)
        .bind(columns.keys)
        .bind(columns.headers)
        .bind(columns.payloads)
}

fn bind_inbox<'q>(statement: Statement<'q>, changes: &'q Changes) -> Statement<'q> {
    let events = &changes.inbox;
    statement
        .bind(column(events, |event| event.event_id))
        .bind(column(events, |event| event.key))
        .bind(column(events, |event| {
            i64::try_from(event.sequence).unwrap_or(i64::MAX)
        }))
}

/// One value of each row.
fn column<'r, T, V>(rows: &'r [T], value: impl Fn(&'r T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// Adds the SKUs that are not there yet; stock that orders have moved since is never reset. In SKU order, so that
/// replicas that start at once wait for each other instead of in a circle.
pub(super) async fn seed(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
) -> Result<u64, sqlx::Error> {
    let entries = catalogue.entries();
    let seeded = sqlx::query(
        "INSERT INTO stock (sku, name, opening, available, reserved, shipped) \
         SELECT sku, name, opening, opening, 0, 0 \
         FROM UNNEST($1::text[], $2::text[], $3::bigint[]) AS entry (sku, name, opening) \
         ORDER BY sku COLLATE \"C\" ON CONFLICT (sku) DO NOTHING",
    )
    .bind(column(entries, |entry: &CatalogueEntry| entry.sku.as_str()))
    .bind(column(entries, |entry| entry.name.as_str()))
    .bind(column(entries, |entry| entry.opening))
    .execute(connection)
    .await?;
    Ok(seeded.rows_affected())
}
