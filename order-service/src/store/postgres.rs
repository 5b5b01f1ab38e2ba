//! The order store on PostgreSQL, shared by the replicas of the service.
//!
//! * Every write is one statement or one transaction, and is retried after a conflict with another replica.
//! * All replicas lock rows in the same order, so they wait for each other but never deadlock.
//! * An outbox row is inserted while its order is locked: positions in the outbox follow the order of the commits.
//!
//! A batch is bound as one array per column. The statement text does not depend on the batch size, so each statement is
//! prepared once per connection. Operations are boxed: with the copies in their wrappers, such a future takes 27 KB.

use std::sync::Arc;

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::postgres::{Postgres, bounded, retry_conflicts};
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

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The order store on PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Arc<Postgres>,
    statements: OrderStatements,
}

impl PostgresStore {
    /// The store in this database, whose schema is at [`MIGRATIONS`] or newer.
    pub fn new(database: Arc<Postgres>) -> Self {
        let statements = OrderStatements::new(database.statements());
        Self {
            database,
            statements,
        }
    }
}

#[async_trait]
impl OrderStore for PostgresStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let place = Box::pin(retry_conflicts(|| {
            place::place(self.database.pool(), batch)
        }));
        let placed = self.statements.place.run_batch(batch.len(), place).await;
        placed.map_err(failed("placing orders"))
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let read = Box::pin(bounded(async {
            let mut transaction = self.database.reading(deadline).await?;
            place::placed_before(&mut transaction, request).await
        }));
        let placed = self.statements.placed_before.run(read).await;
        placed.map_err(failed("looking up a request"))
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let apply = Box::pin(retry_conflicts(|| {
            tracked::apply(self.database.pool(), batch)
        }));
        let applied = self.statements.apply.run_batch(batch.len(), apply).await;
        applied.map_err(failed("applying outcomes"))
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let cancel = Box::pin(retry_conflicts(|| {
            tracked::cancel(self.database.pool(), batch)
        }));
        let replies = self.statements.cancel.run_batch(batch.len(), cancel).await;
        replies.map_err(failed("requesting cancellations"))
    }

    async fn get(
        &self,
        order_id: OrderId,
        deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let read = Box::pin(bounded(async {
            let mut transaction = self.database.reading(deadline).await?;
            read::order(&mut transaction, order_id).await
        }));
        let order = self.statements.get.run(read).await;
        order.map_err(failed("reading an order"))
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let read = Box::pin(bounded(async {
            let mut transaction = self.database.reading(deadline).await?;
            read::page(&mut transaction, customer_id, before, limit).await
        }));
        let page = self.statements.list.run(read).await;
        page.map_err(failed("listing orders"))
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let read = Box::pin(bounded(async {
            let mut transaction = self.database.reading(deadline).await?;
            read::history(&mut transaction, order_id, after_version, limit).await
        }));
        let entries = self.statements.history.run(read).await;
        entries.map_err(failed("reading a history"))
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let read = bounded(read::versions(self.database.pool(), orders));
        let versions = self.statements.versions.run(read).await;
        versions.map_err(failed("reading versions"))
    }
}
