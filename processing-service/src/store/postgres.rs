//! The store on PostgreSQL, which several replicas share: a batch costs two locking reads and one statement that writes
//! all tables, however many orders it has.
//!
//! Every replica needs the rows of popular SKUs, and a replica that has locked them blocks the others until its commit is
//! on disk. Therefore stock is locked last, and only one statement runs between the lock and the commit.
//! Batches of every size use the same SQL texts with arrays, so each connection has them prepared.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::{self, InboxEntry};
use sql::postgres::{Postgres, bounded};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row, Transaction};
use uuid::Uuid;

use super::engine::Engine;
use super::processing_store::StoreError;
use super::saga_row::SagaRow;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

mod write;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// A database on a server.
#[derive(Clone, Debug)]
pub(super) struct PostgresEngine(pub(super) Arc<Postgres>);

#[async_trait]
impl Engine for PostgresEngine {
    type Driver = sqlx::Postgres;

    async fn begin(&self) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        // READ COMMITTED, the default: after a wait for a row lock, the row's latest version is read and locked.
        self.0.pool().begin().await
    }

    /// Locks rows in the order of their ids.
    async fn lock_sagas(
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

    /// Locks rows in SKU order.
    async fn lock_stock(
        connection: &mut PgConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        // A batch of captures moves no stock: a third of all steps.
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

    async fn write(
        connection: &mut PgConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<(), StoreError> {
        write::changes(connection, changes, at).await
    }

    async fn accept(connection: &mut PgConnection, event: InboxEntry) -> Result<(), sqlx::Error> {
        inbox::postgres::accept(connection, &[event]).await?;
        Ok(())
    }

    /// Inserts in SKU order, so that replicas that start together cannot deadlock.
    async fn seed(
        connection: &mut PgConnection,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error> {
        let entries = catalogue.entries();
        let skus: Vec<_> = entries.iter().map(|entry| entry.sku.as_str()).collect();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let openings: Vec<_> = entries.iter().map(|entry| entry.opening).collect();
        let seeded = sqlx::query(
            "INSERT INTO stock (sku, name, opening, available, reserved, shipped) \
             SELECT sku, name, opening, opening, 0, 0 \
             FROM UNNEST($1::text[], $2::text[], $3::bigint[]) AS entry (sku, name, opening) \
             ORDER BY sku COLLATE \"C\" ON CONFLICT (sku) DO NOTHING",
        )
        .bind(skus)
        .bind(names)
        .bind(openings)
        .execute(connection)
        .await?;
        Ok(seeded.rows_affected())
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError> {
        let row = sqlx::query(
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id = $1",
        )
        .bind(order_id.as_uuid())
        .fetch_optional(self.0.pool());
        let row = bounded(row).await?;
        let saga = row.as_ref().map(saga).transpose()?;
        Ok(saga.map(|(_, saga)| saga))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let rows =
            sqlx::query("SELECT sku, available, reserved, shipped FROM stock WHERE sku = ANY($1)")
                .bind(keys(skus))
                .fetch_all(self.0.pool());
        levels(&bounded(rows).await?, skus)
    }
}

fn saga(row: &PgRow) -> Result<(OrderId, Saga), StoreError> {
    let order_id = OrderId::new(row.try_get("order_id")?);
    let row = SagaRow {
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        next_sequence: row.try_get("next_sequence")?,
        lines: row.try_get("lines")?,
    };
    Ok((order_id, row.read(order_id)?))
}

fn keys(skus: &BTreeSet<Sku>) -> Vec<&str> {
    skus.iter().map(Sku::as_str).collect()
}

fn levels(rows: &[PgRow], skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
    let mut levels = HashMap::with_capacity(rows.len());
    for row in rows {
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
    Ok(levels)
}
