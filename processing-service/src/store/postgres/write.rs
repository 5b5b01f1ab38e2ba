//! Writes the changes of a batch: one statement for all tables, which saves one round trip per table while rows are
//! locked.

use outbox::InsertedRows;
use outbox::hand_over::{PendingRows, ReturnedRow};
use outbox::postgres::RecordColumns;
use sql::columns::{column, signed};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use crate::conversion;
use crate::domain::OrderId;
use crate::store::processing_store::StoreError;
use crate::store::rows;
use crate::store::unit_of_work::{Changes, Saga};

type BoundQuery<'q> = Query<'q, Postgres, PgArguments>;

/// One array per column, empty where a batch has no rows for a table.
///
/// `moved`, `opened` and `announced` are read by the final `SELECT`, in this order, and therefore run before the other parts:
/// outbox rows are inserted when every saga is locked, new ones included. Each part writes in the order of its arrays. The
/// predecessor of an event is the last one of its order that was in the outbox before the statement.
///
/// The conditions of `moved` repeat the batch's own check. If stock changes between read and write after all, the whole
/// batch is rolled back and no piece is sold twice.
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
        RETURNING seq, key,
                  (SELECT max(earlier.seq + 0) FROM outbox AS earlier WHERE earlier.key = outbox.key) AS predecessor
    ), accepted AS (
        INSERT INTO inbox (event_id, entity_id, sequence, received_at)
        SELECT event_id, entity_id, sequence, $1
        FROM UNNEST($26::uuid[], $27::uuid[], $28::bigint[]) AS entry (event_id, entity_id, sequence)
        ON CONFLICT (event_id) DO NOTHING
    )
    SELECT (SELECT count(*) FROM moved) AS moved, (SELECT count(*) FROM opened) AS opened,
           ARRAY(SELECT seq FROM announced) AS seqs, ARRAY(SELECT key FROM announced) AS keys,
           ARRAY(SELECT predecessor FROM announced) AS predecessors";

pub(super) async fn changes(
    connection: &mut PgConnection,
    changes: &Changes,
    at: i64,
) -> Result<InsertedRows, StoreError> {
    let pending = PendingRows::new(changes.outbox.iter().cloned());
    let written = bind(changes, at).fetch_one(&mut *connection).await?;
    let (moved, opened): (i64, i64) = (written.try_get("moved")?, written.try_get("opened")?);
    if moved < changes.stock.len() as i64 {
        return Err(StoreError::StockChanged);
    }
    if opened < changes.opened.len() as i64 {
        return Err(StoreError::SagaOpened);
    }
    if !changes.refunds.is_empty() {
        refund_payments(connection, &changes.refunds, at).await?;
    }
    Ok(pending.inserted(announced(&written)?))
}

fn announced(written: &PgRow) -> Result<Vec<ReturnedRow>, sqlx::Error> {
    let seqs: Vec<i64> = written.try_get("seqs")?;
    let keys: Vec<String> = written.try_get("keys")?;
    let predecessors: Vec<Option<i64>> = written.try_get("predecessors")?;
    let rows = seqs.into_iter().zip(keys).zip(predecessors);
    Ok(rows
        .map(|((seq, key), predecessor)| (seq, key, predecessor))
        .collect())
}

/// A separate statement, because the one for all tables does not see the payments that it inserts. Refunds are rare;
/// no-op for an order that was never captured.
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

/// Binds all values, in the order of the statement's parts.
fn bind(changes: &Changes, at: i64) -> BoundQuery<'_> {
    let moves: Vec<_> = changes.stock.iter().collect();
    let (payments, shipments) = (&changes.payments, &changes.shipments);
    let (outbox, inbox) = (RecordColumns::new(&changes.outbox), &changes.inbox);
    let query = sqlx::query(WRITE)
        .bind(at)
        .bind(column(&moves, |(sku, _)| sku.as_str()))
        .bind(column(&moves, |(_, change)| change.available))
        .bind(column(&moves, |(_, change)| change.reserved))
        .bind(column(&moves, |(_, change)| change.shipped));
    let query = bind_sagas(query, &changes.opened).bind(column(&changes.opened, |(id, saga)| {
        conversion::stored_order(*id, &saga.demand)
    }));
    bind_sagas(query, &changes.advanced)
        .bind(column(payments, |(order_id, ..)| order_id.as_uuid()))
        .bind(column(payments, |(_, capture_id, _)| capture_id.as_str()))
        .bind(column(payments, |(.., paid)| paid.currency().to_string()))
        .bind(column(payments, |(.., paid)| paid.minor_units()))
        .bind(column(shipments, |(order_id, _)| order_id.as_uuid()))
        .bind(column(shipments, |(_, shipment)| shipment.to_string()))
        .bind(outbox.shards)
        .bind(outbox.topics)
        .bind(outbox.keys)
        .bind(outbox.headers)
        .bind(outbox.payloads)
        .bind(column(inbox, |event| event.event_id))
        .bind(column(inbox, |event| event.key))
        .bind(column(inbox, |event| signed(event.sequence)))
}

fn bind_sagas<'q>(query: BoundQuery<'q>, sagas: &[(OrderId, Saga)]) -> BoundQuery<'q> {
    let states = column(sagas, |(_, saga)| rows::columns(saga.state));
    query
        .bind(column(sagas, |(order_id, _)| order_id.as_uuid()))
        .bind(column(&states, |(state, _)| *state))
        .bind(column(&states, |(_, reason)| *reason))
        .bind(column(sagas, |(_, saga)| signed(saga.next_sequence)))
}
