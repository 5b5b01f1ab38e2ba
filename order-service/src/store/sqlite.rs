//! The order store on SQLite: one file, one writer, reads beside it.

use std::sync::Arc;

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::sqlite::Sqlite;
use sqlx::migrate::Migrator;

use super::failure::failed;
use super::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed, StoreError,
};
use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};

mod place;

mod apply;

mod cancel;

mod tracked;

mod read;

/// The schema.
pub static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

/// Rows per statement: at most eleven parameters each, well below SQLite's limit of 32,766.
const ROWS_PER_STATEMENT: usize = 1_000;

/// The order store on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Sqlite>,
}

impl SqliteStore {
    /// The store in this database, which was opened with [`MIGRATOR`].
    pub fn new(database: Arc<Sqlite>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl OrderStore for SqliteStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let failed = failed("placing orders");
        let mut transaction = self.database.begin().await.map_err(failed)?;
        let answers = place::place(&mut transaction, batch)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        _deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let failed = failed("looking for a request");
        let mut connection = self.database.reader().acquire().await.map_err(failed)?;
        let placed = place::placed_before(&mut connection, request).await;
        placed.map_err(failed)
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let failed = failed("applying outcomes");
        let mut transaction = self.database.begin().await.map_err(failed)?;
        let answers = apply::apply(&mut transaction, batch)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let failed = failed("requesting cancellations");
        let mut transaction = self.database.begin().await.map_err(failed)?;
        let answers = cancel::cancel(&mut transaction, batch)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(answers)
    }

    async fn get(
        &self,
        order_id: OrderId,
        _deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let order = read::order(self.database.reader(), order_id).await;
        order.map_err(failed("reading an order"))
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let page = read::page(self.database.reader(), customer_id, before, limit).await;
        page.map_err(failed("listing orders"))
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let reader = self.database.reader();
        let entries = read::history(reader, order_id, after_version, limit).await;
        entries.map_err(failed("reading a history"))
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let versions = read::versions(self.database.reader(), orders).await;
        versions.map_err(failed("reading versions"))
    }
}
