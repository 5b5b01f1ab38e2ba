//! The store on PostgreSQL, which several replicas share: a batch costs two locking reads and one statement that writes
//! all tables, however many orders it has.
//!
//! Every replica needs the rows of popular SKUs, and a replica that has locked them blocks the others until its commit is
//! on disk. Therefore stock is locked last, and only one statement runs between the lock and the commit.
//! Batches of every size use the same SQL texts with arrays, so each connection has them prepared.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use outbox::InsertedRows;
use sql::columns::column;
use sql::operation::bounded;
use sql::postgres::Postgres;
use sqlx::migrate::Migrator;
use sqlx::{PgConnection, Transaction};
use uuid::Uuid;

use super::engine::Engine;
use super::processing_store::StoreError;
use super::rows::{self, PaymentRow, SagaRow};
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
        let sagas: Vec<SagaRow> = sqlx::query_as(
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas \
             WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE",
        )
        .bind(keys)
        .fetch_all(connection)
        .await?;
        rows::sagas(sagas)
    }

    async fn payment(
        connection: &mut PgConnection,
        order_id: OrderId,
    ) -> Result<Option<PaymentRow>, sqlx::Error> {
        let payment = sqlx::query_as(rows::PAYMENT).bind(order_id.as_uuid());
        payment.fetch_optional(connection).await
    }

    /// Locks rows in SKU order.
    async fn lock_stock(
        connection: &mut PgConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        // Cancellations move no stock.
        if skus.is_empty() {
            return Ok(HashMap::new());
        }
        let stock = sqlx::query_as(
            "SELECT sku, available, reserved, shipped FROM stock \
             WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        )
        .bind(keys(skus))
        .fetch_all(connection)
        .await?;
        Ok(rows::levels(stock, skus))
    }

    async fn write(
        connection: &mut PgConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<InsertedRows, StoreError> {
        write::changes(connection, changes, at).await
    }

    /// Inserts in SKU order, so that replicas that start together cannot deadlock.
    async fn seed(
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
        .bind(column(entries, |entry| entry.sku.as_str()))
        .bind(column(entries, |entry| entry.name.as_str()))
        .bind(column(entries, |entry| entry.opening))
        .execute(connection)
        .await?;
        Ok(seeded.rows_affected())
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError> {
        let saga = sqlx::query_as(
            "SELECT order_id, state, reason, next_sequence, lines FROM sagas WHERE order_id = $1",
        )
        .bind(order_id.as_uuid())
        .fetch_optional(self.0.pool());
        let saga: Option<SagaRow> = bounded(saga).await?;
        Ok(rows::sagas(saga)?.remove(&order_id))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let stock = sqlx::query_as(
            "SELECT sku, available, reserved, shipped FROM stock WHERE sku = ANY($1)",
        )
        .bind(keys(skus))
        .fetch_all(self.0.pool());
        Ok(rows::levels(bounded(stock).await?, skus))
    }
}

fn keys(skus: &BTreeSet<Sku>) -> Vec<&str> {
    skus.iter().map(Sku::as_str).collect()
}
