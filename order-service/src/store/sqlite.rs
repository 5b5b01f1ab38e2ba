//! The order store on SQLite: one file, one writer connection, and readers that do not wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::sqlite::Sqlite;
use sqlx::migrate::Migrator;

use super::error::{StoreError, failed};
use super::order_store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed,
};
use super::statements::OrderStatements;
use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};

mod place;
mod tracked;

mod read;

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The order store on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Sqlite>,
    statements: OrderStatements,
}

impl SqliteStore {
    /// The store in this database, which was opened with [`MIGRATIONS`].
    pub fn new(database: Arc<Sqlite>) -> Self {
        let statements = OrderStatements::new(database.statements());
        Self {
            database,
            statements,
        }
    }
}

#[async_trait]
impl OrderStore for SqliteStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let place = async {
            let mut transaction = self.database.begin().await?;
            let placed = place::place(&mut transaction, batch).await?;
            transaction.commit().await?;
            Ok(placed)
        };
        let placed = self.statements.place.run_batch(batch.len(), place).await;
        placed.map_err(failed("placing orders"))
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        _deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let read = async {
            let mut connection = self.database.reader().acquire().await?;
            place::placed_before(&mut connection, request).await
        };
        let placed = self.statements.placed_before.run(read).await;
        placed.map_err(failed("looking up a request"))
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let apply = async {
            let mut transaction = self.database.begin().await?;
            let applied = tracked::apply(&mut transaction, batch).await?;
            transaction.commit().await?;
            Ok(applied)
        };
        let applied = self.statements.apply.run_batch(batch.len(), apply).await;
        applied.map_err(failed("applying outcomes"))
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let cancel = async {
            let mut transaction = self.database.begin().await?;
            let replies = tracked::cancel(&mut transaction, batch).await?;
            transaction.commit().await?;
            Ok(replies)
        };
        let replies = self.statements.cancel.run_batch(batch.len(), cancel).await;
        replies.map_err(failed("requesting cancellations"))
    }

    async fn get(
        &self,
        order_id: OrderId,
        _deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let read = read::order(self.database.reader(), order_id);
        let order = self.statements.get.run(read).await;
        order.map_err(failed("reading an order"))
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let read = read::page(self.database.reader(), customer_id, before, limit);
        let page = self.statements.list.run(read).await;
        page.map_err(failed("listing orders"))
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let read = read::history(self.database.reader(), order_id, after_version, limit);
        let entries = self.statements.history.run(read).await;
        entries.map_err(failed("reading a history"))
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let read = read::versions(self.database.reader(), orders);
        let versions = self.statements.versions.run(read).await;
        versions.map_err(failed("reading versions"))
    }
}
