//! The row operations that [`super::transactional::TransactionalStore`] needs from a database. No business decision is
//! made here.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use outbox::InsertedRows;
use sqlx::Transaction;

use super::processing_store::StoreError;
use super::rows::PaymentRow;
use super::unit_of_work::{Changes, Saga};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, Sku, StockLevel};

/// The connection type of an engine's driver.
pub(super) type DriverConnection<E> = <<E as Engine>::Driver as sqlx::Database>::Connection;

/// One database and its SQL.
#[async_trait]
pub(super) trait Engine: Send + Sync + 'static {
    type Driver: sqlx::Database;

    /// Begins a transaction. Dropped without a commit, it is rolled back.
    async fn begin(&self) -> Result<Transaction<'static, Self::Driver>, sqlx::Error>;

    /// Reads the sagas of these orders and locks them until the transaction ends.
    async fn lock_sagas(
        connection: &mut DriverConnection<Self>,
        orders: &BTreeSet<OrderId>,
    ) -> Result<HashMap<OrderId, Saga>, StoreError>;

    /// Reads the capture of an order whose saga is locked, refunded or not.
    async fn payment(
        connection: &mut DriverConnection<Self>,
        order_id: OrderId,
    ) -> Result<Option<PaymentRow>, sqlx::Error>;

    /// Reads the stock of those SKUs that exist and locks it until the transaction ends.
    async fn lock_stock(
        connection: &mut DriverConnection<Self>,
        skus: &BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, sqlx::Error>;

    /// Writes all changes of a batch; `at` is its time in unix milliseconds. Returns the rows of its events.
    ///
    /// # Errors
    /// [`StoreError::StockChanged`] and [`StoreError::SagaOpened`] when a row differs from the locked read. The
    /// transaction must then be rolled back, as after every other error.
    async fn write(
        connection: &mut DriverConnection<Self>,
        changes: &Changes,
        at: i64,
    ) -> Result<InsertedRows, StoreError>;

    /// Inserts the SKUs that are missing. Existing stock is never reset: orders have moved it.
    async fn seed(
        connection: &mut DriverConnection<Self>,
        catalogue: &Catalogue,
    ) -> Result<u64, sqlx::Error>;

    /// Reads one saga without a lock.
    async fn saga(&self, order_id: OrderId) -> Result<Option<Saga>, StoreError>;

    /// Reads the stock of those SKUs that exist without a lock.
    async fn stock(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, sqlx::Error>;
}
