//! The store on SQLite: a batch costs one statement per table that it touches, however many orders it has.
//!
//! There is one writer, and its transaction takes the write lock when it begins: a row lock is not needed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::{self, InboxEntry};
use sql::sqlite::{Sqlite, WriteTransaction};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, SqliteConnection};

use super::engine::Engine;
use super::processing_store::StoreError;
use super::saga_row::SagaRow;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

mod write;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Keys per statement, one parameter each: well below SQLite's limit of 32,766.
const KEYS_PER_STATEMENT: usize = 5_000;

/// A database file.
#[derive(Clone, Debug)]
pub(super) struct SqliteEngine(pub(super) Arc<Sqlite>);

#[async_trait]
impl Engine for SqliteEngine {
    type Driver = sqlx::Sqlite;

    async fn begin(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.0.begin().await
    }

    async fn lock_sagas(
        connection: &mut SqliteConnection,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError> {
        sagas(connection, orders).await
    }

    async fn lock_stock(
        connection: &mut SqliteConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        levels(connection, skus).await
    }

    async fn write(
        connection: &mut SqliteConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<(), StoreError> {
        write::changes(connection, changes, at).await
    }

    async fn accept(
        connection: &mut SqliteConnection,
        event: InboxEntry,
    ) -> Result<(), sqlx::Error> {
        inbox::sqlite::accept(connection, &[event]).await?;
        Ok(())
    }

    async fn seed(
        connection: &mut SqliteConnection,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error> {
        write::seed(connection, catalogue).await
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError> {
        let mut connection = self.0.reader().acquire().await?;
        let mut sagas = sagas(&mut connection, &BTreeSet::from([order_id])).await?;
        Ok(sagas.remove(&order_id))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let mut connection = self.0.reader().acquire().await?;
        levels(&mut connection, skus).await
    }
}

async fn sagas(
    connection: &mut SqliteConnection,
    orders: &BTreeSet<OrderId>,
) -> Result<HashMap<OrderId, Saga>, StoreError> {
    let keys: Vec<_> = orders.iter().map(|order_id| order_id.as_uuid()).collect();
    let mut sagas = HashMap::with_capacity(keys.len());
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let select =
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id IN ";
        for row in fetch(select, chunk.iter().copied(), connection).await? {
            let order_id = OrderId::new(row.try_get("order_id")?);
            let saga = SagaRow {
                state: row.try_get("state")?,
                reason: row.try_get("reason")?,
                next_sequence: row.try_get("next_sequence")?,
                lines: row.try_get("lines")?,
            };
            sagas.insert(order_id, saga.read(order_id)?);
        }
    }
    Ok(sagas)
}

async fn levels(
    connection: &mut SqliteConnection,
    skus: &BTreeSet<Sku>,
) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
    let keys: Vec<&Sku> = skus.iter().collect();
    let mut levels = HashMap::with_capacity(skus.len());
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let select = "SELECT sku, available, reserved, shipped FROM stock WHERE sku IN ";
        for row in fetch(select, chunk.iter().map(|sku| sku.as_str()), connection).await? {
            // The row was selected by one of these keys, so the lookup succeeds; it shares the key's allocation.
            if let Some(sku) = skus.get(row.try_get::<&str, _>("sku")?) {
                let level = StockLevel {
                    available: row.try_get("available")?,
                    reserved: row.try_get("reserved")?,
                    shipped: row.try_get("shipped")?,
                };
                levels.insert(sku.clone(), level);
            }
        }
    }
    Ok(levels)
}

/// Runs a SELECT with these keys as its list. The text depends on the number of keys, so it is not kept prepared.
async fn fetch<'k, K>(
    select: &str,
    keys: impl Iterator<Item = K>,
    connection: &mut SqliteConnection,
) -> Result<Vec<SqliteRow>, sqlx::Error>
where
    K: sqlx::Encode<'k, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + 'k,
{
    let mut statement = QueryBuilder::new(select);
    let mut list = statement.push("(").separated(", ");
    keys.for_each(|key| {
        list.push_bind(key);
    });
    statement.push(")");
    statement
        .build()
        .persistent(false)
        .fetch_all(connection)
        .await
}
