//! The order store on PostgreSQL, shared by the replicas of the service.
//!
//! * Whatever writes is one statement or one transaction, and is repeated when another replica's was in its way.
//! * Rows are locked in one order everywhere, so replicas wait for each other and do not deadlock.
//! * An outbox row is inserted behind the lock of its order: the events of an order have positions in the order of
//!   their commits.
//!
//! A batch is bound as one array per column. The text of a statement does not depend on the size of the batch, so each
//! is prepared once per connection.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::postgres::{Postgres, bounded, retry_conflicts};
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
pub static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgres");

/// The order store on PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Arc<Postgres>,
}

impl PostgresStore {
    /// The store in this database, whose schema is that of [`MIGRATOR`] or a later one.
    pub fn new(database: Arc<Postgres>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl OrderStore for PostgresStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let placed = retry_conflicts(|| place::place(self.database.pool(), batch)).await;
        placed.map_err(failed("placing orders"))
    }

    async fn placed_before(&self, request: &NewOrder) -> Result<Option<Placed>, StoreError> {
        let placed = bounded(place::placed_before(self.database.pool(), request)).await;
        placed.map_err(failed("looking for a request"))
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let applied = retry_conflicts(|| apply::apply(self.database.pool(), batch)).await;
        applied.map_err(failed("applying outcomes"))
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let requested = retry_conflicts(|| cancel::cancel(self.database.pool(), batch)).await;
        requested.map_err(failed("requesting cancellations"))
    }

    async fn get(&self, order_id: OrderId) -> Result<Option<Order>, StoreError> {
        let order = bounded(read::order(self.database.pool(), order_id)).await;
        order.map_err(failed("reading an order"))
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<Order>, StoreError> {
        let page = read::page(self.database.pool(), customer_id, before, limit);
        bounded(page).await.map_err(failed("listing orders"))
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let entries = read::history(self.database.pool(), order_id, after_version, limit);
        bounded(entries).await.map_err(failed("reading a history"))
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let versions = bounded(read::versions(self.database.pool(), orders)).await;
        versions.map_err(failed("reading versions"))
    }
}

/// One column of a batch, as an array to bind.
fn column<'a, R, V>(rows: &'a [R], value: impl Fn(&'a R) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}
