//! Reading sagas and stock, many rows per statement.

use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::domain::{OrderId, Sku, StockLevel};
use crate::store::StoreError;
use crate::store::saga_row::SagaRow;
use crate::store::unit_of_work::Saga;

/// Keys per statement, one parameter each: well below SQLite's limit of 32,766.
const KEYS_PER_STATEMENT: usize = 5_000;

/// The sagas that these orders have.
pub(super) async fn sagas(
    connection: &mut SqliteConnection,
    orders: &BTreeSet<OrderId>,
) -> Result<HashMap<OrderId, Saga>, StoreError> {
    let keys: Vec<Uuid> = orders.iter().map(|order_id| order_id.as_uuid()).collect();
    let mut sagas = HashMap::with_capacity(keys.len());
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
            let (order_id, saga) = saga(&row)?;
            sagas.insert(order_id, saga);
        }
    }
    Ok(sagas)
}

fn saga(row: &SqliteRow) -> Result<(OrderId, Saga), StoreError> {
    let order_id = OrderId::new(row.try_get("order_id")?);
    let row = SagaRow {
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        next_sequence: row.try_get("next_sequence")?,
        lines: row.try_get("lines")?,
    };
    Ok((order_id, row.read(order_id)?))
}

/// The stock of those of these SKUs that there are.
pub(super) async fn stock(
    connection: &mut SqliteConnection,
    skus: &BTreeSet<Sku>,
) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
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
