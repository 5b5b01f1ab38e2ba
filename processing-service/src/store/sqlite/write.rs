//! Writes the changes of a batch: one statement per table, however many orders the batch has.

use std::collections::BTreeMap;

use sql::columns::signed;
use sql::sqlite::{Row, multi_row};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::conversion;
use crate::domain::{CaptureId, Money, OrderId, ShipmentId, Sku, StockLevel};
use crate::store::processing_store::StoreError;
use crate::store::rows;
use crate::store::unit_of_work::Saga;

/// The conditions repeat the batch's own check. If stock changes between read and write after all, the whole batch is
/// rolled back and no piece is sold twice.
pub(super) async fn move_stock(
    connection: &mut SqliteConnection,
    moves: &BTreeMap<Sku, StockLevel>,
) -> Result<(), StoreError> {
    let moves: Vec<_> = moves.iter().collect();
    let bind = |mut row: Row<'_>, (sku, change): &(&Sku, &StockLevel)| {
        row.push_bind(sku.as_str())
            .push_bind(change.available)
            .push_bind(change.reserved)
            .push_bind(change.shipped);
    };
    let update = ") UPDATE stock SET available = stock.available + change.available, \
           reserved = stock.reserved + change.reserved, shipped = stock.shipped + change.shipped \
         FROM change WHERE stock.sku = change.sku \
           AND stock.available + change.available >= 0 AND stock.reserved + change.reserved >= 0";
    let values = "WITH change (sku, available, reserved, shipped) AS (";
    let moved = execute(multi_row(values, &moves, bind, update), connection).await?;
    if moved < moves.len() as u64 {
        return Err(StoreError::StockChanged);
    }
    Ok(())
}

pub(super) async fn open_sagas(
    connection: &mut SqliteConnection,
    sagas: &[(OrderId, Saga)],
    at: i64,
) -> Result<u64, sqlx::Error> {
    let insert = "INSERT INTO sagas (order_id, state, reason, next_sequence, lines, updated_at) ";
    let bind = |mut row: Row<'_>, (order_id, saga): &(OrderId, Saga)| {
        let (state, reason) = rows::columns(saga.state);
        row.push_bind(order_id.as_uuid())
            .push_bind(state)
            .push_bind(reason)
            .push_bind(signed(saga.next_sequence))
            .push_bind(conversion::stored_order(*order_id, &saga.demand))
            .push_bind(at);
    };
    execute(multi_row(insert, sagas, bind, ""), connection).await
}

pub(super) async fn advance_sagas(
    connection: &mut SqliteConnection,
    sagas: &[(OrderId, Saga)],
    at: i64,
) -> Result<u64, sqlx::Error> {
    let values = "WITH step (order_id, state, reason, next_sequence, updated_at) AS (";
    let bind = |mut row: Row<'_>, (order_id, saga): &(OrderId, Saga)| {
        let (state, reason) = rows::columns(saga.state);
        row.push_bind(order_id.as_uuid())
            .push_bind(state)
            .push_bind(reason)
            .push_bind(signed(saga.next_sequence))
            .push_bind(at);
    };
    let update = ") UPDATE sagas SET state = step.state, reason = step.reason, \
           next_sequence = step.next_sequence, updated_at = step.updated_at \
         FROM step WHERE sagas.order_id = step.order_id";
    execute(multi_row(values, sagas, bind, update), connection).await
}

pub(super) async fn insert_payments(
    connection: &mut SqliteConnection,
    payments: &[(OrderId, CaptureId, Money)],
    at: i64,
) -> Result<u64, sqlx::Error> {
    let insert =
        "INSERT INTO payments (order_id, capture_id, state, currency, minor_units, updated_at) ";
    let bind = |mut row: Row<'_>, (order_id, capture_id, amount): &(OrderId, CaptureId, Money)| {
        row.push_bind(order_id.as_uuid())
            .push_bind(capture_id.as_str())
            .push("'CAPTURED'")
            .push_bind(amount.currency().to_string())
            .push_bind(amount.minor_units())
            .push_bind(at);
    };
    execute(multi_row(insert, payments, bind, ""), connection).await
}

/// One row per statement: refunds are rare. No-op for an order that was never captured.
pub(super) async fn refund_payments(
    connection: &mut SqliteConnection,
    orders: &[OrderId],
    at: i64,
) -> Result<(), sqlx::Error> {
    for order_id in orders {
        sqlx::query("UPDATE payments SET state = 'REFUNDED', updated_at = ? WHERE order_id = ?")
            .bind(at)
            .bind(order_id.as_uuid())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn insert_shipments(
    connection: &mut SqliteConnection,
    shipments: &[(OrderId, ShipmentId)],
    at: i64,
) -> Result<u64, sqlx::Error> {
    let insert = "INSERT INTO shipments (order_id, shipment_id, created_at) ";
    let bind = |mut row: Row<'_>, (order_id, shipment_id): &(OrderId, ShipmentId)| {
        row.push_bind(order_id.as_uuid())
            .push_bind(shipment_id.to_string())
            .push_bind(at);
    };
    execute(multi_row(insert, shipments, bind, ""), connection).await
}

/// Returns the number of rows written. The text of a statement depends on the number of rows, so it is not kept prepared:
/// batches have every size, and the statement cache would fill with texts that are rarely reused. (Measured: no slower.)
pub(super) async fn execute(
    statements: impl Iterator<Item = QueryBuilder<Sqlite>>,
    connection: &mut SqliteConnection,
) -> Result<u64, sqlx::Error> {
    let mut written = 0;
    for mut statement in statements {
        let query = statement.build().persistent(false);
        written += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}
