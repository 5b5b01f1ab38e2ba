//! The store on SQLite: a batch costs one statement per table that it touches, however many orders are in it.
//!
//! There is one writer, and its transaction takes the write lock before it reads: everything is held by then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::{self, InboxEntry};
use sql::sqlite::{Sqlite, WriteTransaction};
use sqlx::SqliteConnection;
use sqlx::migrate::Migrator;

use super::StoreError;
use super::engine::Engine;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

mod read;
mod write;

/// The schema, as the steps that lead to it.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// One database file.
#[derive(Clone, Debug)]
pub(super) struct SqliteEngine(pub(super) Arc<Sqlite>);

#[async_trait]
impl Engine for SqliteEngine {
    type Driver = sqlx::Sqlite;

    async fn begin(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.0.begin().await
    }

    async fn hold_sagas(
        connection: &mut SqliteConnection,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError> {
        read::sagas(connection, orders).await
    }

    async fn hold_stock(
        connection: &mut SqliteConnection,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        read::stock(connection, skus).await
    }

    async fn write(
        connection: &mut SqliteConnection,
        changes: &Changes,
        at: i64,
    ) -> Result<(), StoreError> {
        write::changes(connection, changes, at).await
    }

    async fn remember(
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
        let mut sagas = read::sagas(&mut connection, &BTreeSet::from([order_id])).await?;
        Ok(sagas.remove(&order_id))
    }

    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error> {
        let mut connection = self.0.reader().acquire().await?;
        read::stock(&mut connection, skus).await
    }
}
