//! Reading sagas and stock, many rows per statement.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::conversion;
use crate::domain::{OrderId, Sku, StockLevel};
use crate::store::unit_of_work::Saga;
use crate::store::{StoreError, saga_row};

/// Keys per statement, one parameter each: well below SQLite's limit of 32,766.
const KEYS_PER_STATEMENT: usize = 5_000;

/// The sagas that these orders have.
pub(super) async fn sagas(
    connection: &mut SqliteConnection,
    orders: &BTreeSet<OrderId>,
) -> Result<Vec<(OrderId, Saga)>, StoreError> {
    let keys: Vec<Uuid> = orders.iter().map(|order_id| order_id.as_uuid()).collect();
    let mut sagas = Vec::new();
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id IN (",
        );
        let mut list = statement.separated(", ");
        chunk.iter().for_each(|key| {
            list.push_bind(*key);
        });
        statement.push(")");
        for row in fetch(&mut statement, connection).await? {
            sagas.push(saga(&row)?);
        }
    }
    Ok(sagas)
}

fn saga(row: &SqliteRow) -> Result<(OrderId, Saga), StoreError> {
    let order_id = OrderId::new(row.try_get("order_id")?);
    let damaged = || StoreError::Damaged(order_id);
    let state = saga_row::state(row.try_get("state")?, row.try_get("reason")?);
    let next_sequence = u64::try_from(row.try_get::<i64, _>("next_sequence")?);
    let saga = Saga {
        state: state.ok_or_else(damaged)?,
        next_sequence: next_sequence.map_err(|_| damaged())?,
        demand: conversion::stored_demand(row.try_get("lines")?).ok_or_else(damaged)?,
    };
    Ok((order_id, saga))
}

/// The stock levels of those of these SKUs that the catalogue has.
pub(super) async fn levels(
    connection: &mut SqliteConnection,
    skus: &BTreeSet<Sku>,
) -> Result<HashMap<Sku, StockLevel>, StoreError> {
    let keys: Vec<&Sku> = skus.iter().collect();
    let mut levels = HashMap::with_capacity(skus.len());
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "SELECT sku, available, reserved, shipped FROM stock WHERE sku IN (",
        );
        let mut list = statement.separated(", ");
        chunk.iter().for_each(|key| {
            list.push_bind(key.as_str());
        });
        statement.push(")");
        for row in fetch(&mut statement, connection).await? {
            // The row was found by one of these keys, so the key is there.
            if let Some(sku) = skus.get(row.try_get::<&str, _>("sku")?) {
                levels.insert(sku.clone(), level(&row)?);
            }
        }
    }
    Ok(levels)
}

/// Runs a statement whose text depends on the number of keys; such statements are not kept prepared.
async fn fetch(
    statement: &mut QueryBuilder<Sqlite>,
    connection: &mut SqliteConnection,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    statement
        .build()
        .persistent(false)
        .fetch_all(connection)
        .await
}

fn level(row: &SqliteRow) -> Result<StockLevel, sqlx::Error> {
    Ok(StockLevel {
        available: row.try_get("available")?,
        reserved: row.try_get("reserved")?,
        shipped: row.try_get("shipped")?,
    })
}
