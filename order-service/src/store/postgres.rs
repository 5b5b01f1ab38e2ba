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
use service::deadline::Deadline;
use sql::postgres::{Postgres, bounded, retry_conflicts};
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

    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let read = async {
            let mut reading = self.database.reading(deadline).await?;
            place::placed_before(&mut reading, request).await
        };
        bounded(read).await.map_err(failed("looking for a request"))
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let applied = retry_conflicts(|| apply::apply(self.database.pool(), batch)).await;
        applied.map_err(failed("applying outcomes"))
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let requested = retry_conflicts(|| cancel::cancel(self.database.pool(), batch)).await;
        requested.map_err(failed("requesting cancellations"))
    }

    async fn get(
        &self,
        order_id: OrderId,
        deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let read = async {
            let mut reading = self.database.reading(deadline).await?;
            read::order(&mut reading, order_id).await
        };
        bounded(read).await.map_err(failed("reading an order"))
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let read = async {
            let mut reading = self.database.reading(deadline).await?;
            read::page(&mut reading, customer_id, before, limit).await
        };
        bounded(read).await.map_err(failed("listing orders"))
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let read = async {
            let mut reading = self.database.reading(deadline).await?;
            read::history(&mut reading, order_id, after_version, limit).await
        };
        bounded(read).await.map_err(failed("reading a history"))
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
