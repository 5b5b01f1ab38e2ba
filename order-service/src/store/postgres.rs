//! The order store on PostgreSQL, shared by the replicas of the service.
//!
//! * Every write is one statement or one transaction, and is retried after a conflict with another replica.
//! * All replicas lock rows in the same order, so they wait for each other but never deadlock.
//! * An outbox row is inserted while its order is locked: positions in the outbox follow the order of the commits.
//!
//! A batch is bound as one array per column. The statement text does not depend on the batch size, so each statement is
//! prepared once per connection.

use std::sync::Arc;

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::columns::{column, signed};
use sql::operation::{self, bounded};
use sql::postgres::{Postgres, ReadConnection};
use sqlx::migrate::Migrator;

use super::error::StoreError;
use super::operations::{Operation, Operations};
use super::order_store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed,
};
use super::rows::{self, EntryRow, OrderRow};
use super::tracked::OrderCommand;
use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};

mod open_orders;
mod place;
mod tracked;

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The order store on PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Arc<Postgres>,
    operations: Operations,
}

impl PostgresStore {
    /// The store in this database, whose schema is at [`MIGRATIONS`] or newer.
    pub fn new(database: Arc<Postgres>) -> Self {
        let operations = Operations::new(database.statements());
        Self {
            database,
            operations,
        }
    }

    /// One transaction behind the locks of the orders.
    async fn change_orders<C: OrderCommand>(
        &self,
        operation: &Operation,
        batch: &[C],
    ) -> Result<Vec<C::Reply>, StoreError> {
        let change = || async {
            let mut transaction = self.database.pool().begin().await?;
            let mut orders = tracked::lock(&mut transaction, batch).await?;
            let decided = orders.apply(batch);
            tracked::write(&mut transaction, &orders, &decided).await?;
            transaction.commit().await?;
            Ok(decided.replies)
        };
        let replies = operation::run(&operation.statement, batch.len(), change).await;
        replies.map_err(|error| operation.failed(error))
    }

    async fn read<T, F>(
        &self,
        operation: &Operation,
        deadline: Deadline,
        read: impl FnOnce(ReadConnection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let done = self.database.read(&operation.statement, deadline, read);
        done.await.map_err(|error| operation.failed(error))
    }
}

#[async_trait]
impl OrderStore for PostgresStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let operation = &self.operations.place;
        let place = || place::place(self.database.pool(), batch);
        let placed = operation::run(&operation.statement, batch.len(), place).await;
        placed.map_err(|error| operation.failed(error))
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let read = async move |mut connection: ReadConnection| {
            let key = (&request.customer_id, request.request_id);
            let saved = place::find_saved(&mut **connection, &[key]).await?;
            Ok(saved.reply_to(request))
        };
        self.read(&self.operations.placed_before, deadline, read)
            .await
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        self.change_orders(&self.operations.apply, batch).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        self.change_orders(&self.operations.cancel, batch).await
    }

    async fn get(
        &self,
        order_id: OrderId,
        deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let order = sqlx::query_as(rows::ORDER).bind(order_id.as_uuid());
        let read = async move |mut connection: ReadConnection| {
            let row: Option<OrderRow> = order.fetch_optional(&mut **connection).await?;
            row.map(Order::try_from).transpose()
        };
        self.read(&self.operations.get, deadline, read).await
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let page = sqlx::query_as(rows::PAGE)
            .bind(customer_id.as_str())
            .bind(rows::before(before))
            .bind(i64::from(limit));
        let read = async move |mut connection: ReadConnection| {
            let orders: Vec<OrderRow> = page.fetch_all(&mut **connection).await?;
            rows::read(orders)
        };
        self.read(&self.operations.list, deadline, read).await
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let history = sqlx::query_as(rows::HISTORY)
            .bind(order_id.as_uuid())
            .bind(signed(after_version))
            .bind(i64::from(limit));
        let read = async move |mut connection: ReadConnection| {
            let entries: Vec<EntryRow> = history.fetch_all(&mut **connection).await?;
            rows::read(entries)
        };
        self.read(&self.operations.history, deadline, read).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let select = "SELECT order_id, version FROM orders WHERE order_id = ANY($1)";
        let versions = sqlx::query_as(select).bind(column(orders, |id| id.as_uuid()));
        let read = async {
            let versions = versions.fetch_all(self.database.pool()).await?;
            versions.into_iter().map(rows::version).collect()
        };
        self.operations.versions.run(1, bounded(read)).await
    }
}
