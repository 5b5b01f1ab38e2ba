//! What a database has to be able to do for [`super::transactional::TransactionalStore`]: read, hold and write rows.
//! Nothing is decided here.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use sqlx::Transaction;

use super::StoreError;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

/// A connection of an engine.
pub(crate) type Connection<E> = <<E as Engine>::Driver as sqlx::Database>::Connection;

/// One database and its SQL.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    /// The driver.
    type Driver: sqlx::Database;

    /// Begins a transaction. Dropped without a commit, it is rolled back.
    async fn begin(&self) -> Result<Transaction<'static, Self::Driver>, sqlx::Error>;

    /// The sagas that these orders have; nobody else changes them until the transaction ends.
    async fn hold_sagas(
        connection: &mut Connection<Self>,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError>;

    /// The stock of those of these SKUs that there are; nobody else changes it until the transaction ends.
    async fn hold_stock(
        connection: &mut Connection<Self>,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error>;

    /// Writes all that a batch changes; `at` is the time of it in unix milliseconds.
    ///
    /// # Errors
    /// [`StoreError::StockChanged`] and [`StoreError::SagaOpened`] when a row is not as it was held; the transaction
    /// has to be given up then, as after every other error.
    async fn write(
        connection: &mut Connection<Self>,
        changes: &Changes,
        at: i64,
    ) -> Result<(), StoreError>;

    /// Remembers an event.
    async fn remember(
        connection: &mut Connection<Self>,
        event: InboxEntry,
    ) -> Result<(), sqlx::Error>;

    /// Adds the SKUs that are not there yet; stock that orders have moved since is never reset.
    async fn seed(
        connection: &mut Connection<Self>,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error>;

    /// The saga of one order as it is now, held by nobody.
    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError>;

    /// The stock of those of these SKUs that there are, as it is now, held by nobody.
    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error>;
}
