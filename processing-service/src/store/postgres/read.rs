//! Reading sagas and stock: many rows for a batch, which locks them in order, or one row as it is now.

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::domain::{OrderId, Sku, StockLevel};
use crate::store::StoreError;
use crate::store::saga_row::SagaRow;
use crate::store::unit_of_work::Saga;

/// Locks the sagas that these orders have, in the order of their ids, and reads them.
pub(super) async fn sagas_for_update(
    connection: &mut PgConnection,
    orders: &BTreeSet<OrderId>,
) -> Result<HashMap<OrderId, Saga>, StoreError> {
    let keys: Vec<Uuid> = orders.iter().map(|order_id| order_id.as_uuid()).collect();
    let rows = sqlx::query(
        "SELECT order_id, state, reason, next_sequence, lines FROM sagas \
         WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE",
    )
    .bind(keys)
    .fetch_all(connection)
    .await?;
    rows.iter().map(saga).collect()
}

/// The row of one saga, not locked.
pub(super) async fn saga_row(
    pool: &PgPool,
    order_id: OrderId,
) -> Result<Option<PgRow>, sqlx::Error> {
    sqlx::query(
        "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_optional(pool)
    .await
}

/// The saga of a row.
pub(super) fn saga(row: &PgRow) -> Result<(OrderId, Saga), StoreError> {
    let order_id = OrderId::new(row.try_get("order_id")?);
    let row = SagaRow {
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        next_sequence: row.try_get("next_sequence")?,
        lines: row.try_get("lines")?,
    };
    Ok((order_id, row.read(order_id)?))
}

/// Locks the stock of those of these SKUs that there are, in SKU order, and reads it.
pub(super) async fn stock_for_update(
    connection: &mut PgConnection,
    skus: &BTreeSet<Sku>,
) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
    // A batch of captures moves none: that is a third of all steps.
    if skus.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT sku, available, reserved, shipped FROM stock \
         WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
    )
    .bind(keys(skus))
    .fetch_all(connection)
    .await?;
    levels(&rows, skus)
}

/// The stock of those of these SKUs that there are, not locked.
pub(super) async fn stock(
    pool: &PgPool,
    skus: &BTreeSet<Sku>,
) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT sku, available, reserved, shipped FROM stock WHERE sku = ANY($1)")
            .bind(keys(skus))
            .fetch_all(pool)
            .await?;
    levels(&rows, skus)
}

fn keys(skus: &BTreeSet<Sku>) -> Vec<&str> {
    skus.iter().map(Sku::as_str).collect()
}

fn levels(rows: &[PgRow], skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
    let mut levels = HashMap::with_capacity(rows.len());
    for row in rows {
        // The row was found by one of these keys, so the key is there.
        if let Some(sku) = skus.get(row.try_get::<&str, _>("sku")?) {
            levels.insert(sku.clone(), level(row)?);
        }
    }
    Ok(levels)
}

fn level(row: &PgRow) -> Result<StockLevel, sqlx::Error> {
    Ok(StockLevel {
        available: row.try_get("available")?,
        reserved: row.try_get("reserved")?,
        shipped: row.try_get("shipped")?,
    })
}
