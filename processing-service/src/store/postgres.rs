//! The store on PostgreSQL, which several replicas share: a batch costs two reads that lock and one statement that
//! writes all tables, however many orders are in it.
//!
//! The rows of popular SKUs are wanted by every replica at once, and whoever holds them makes the others wait until the
//! commit is on the disk. So the stock is locked last, and only one statement stands between the lock and the commit.
//! Batches of every size are the same SQL texts with arrays, so each connection has them prepared.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::{self, InboxEntry};
use sql::postgres::{Postgres, bounded};
use sqlx::migrate::Migrator;
use sqlx::{PgConnection, Transaction};

use super::StoreError;
use super::engine::Engine;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

mod read;
mod write;

/// The schema, as the steps that lead to it.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// One database on a server.
#[derive(Clone, Debug)]
pub(super) struct PostgresEngine(pub(super) Arc<Postgres>);

#[async_trait]
impl Engine for PostgresEngine {
    type Driver = sqlx::Postgres;

    async fn begin(&self) -> Result<Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        // READ COMMITTED, the default: a row that was waited for is seen as it is then, and held from then on.
        self.0.pool().begin().await
    }

    async fn hold_sagas(
        connection: &mut PgConnection,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError> {
        read::sagas_for_update(connection, orders).await
    }

    async fn hold_stock(
        connection: &mut PgConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        read::stock_for_update(connection, skus).await
    }

    async fn write(
        connection: &mut PgConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<(), StoreError> {
        write::changes(connection, changes, at).await
    }

    async fn remember(connection: &mut PgConnection, event: InboxEntry) -> Result<(), sqlx::Error> {
        inbox::postgres::accept(connection, &[event]).await?;
        Ok(())
    }

    async fn seed(
        connection: &mut PgConnection,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error> {
        write::seed(connection, catalogue).await
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError> {
        let row = bounded(read::saga_row(self.0.pool(), order_id)).await?;
        let saga = row.as_ref().map(read::saga).transpose()?;
        Ok(saga.map(|(_, saga)| saga))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        bounded(read::stock(self.0.pool(), skus)).await
    }
}
