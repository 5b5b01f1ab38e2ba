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
use outbox::HandOver;
use service::deadline::Deadline;
use sql::columns::{column, signed};
use sql::operation::{self, bounded};
use sql::postgres::{Postgres, ReadConnection};
use sqlx::migrate::Migrator;

use super::error::StoreError;
use super::operations::{Operation, Operations};
use super::order_store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, Committed, History, OrderStore, PlaceOrder,
    Placed,
};
use super::rows::{self, EntryRow, OrderRow};
use super::tracked::OrderCommand;
use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};

mod open_orders;
mod place;
mod tracked;

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Reads [`HistoryRow`](rows::HistoryRow)s. LATERAL as in [`ENTRIES_AFTER`].
const HISTORIES: &str = "
    SELECT known.position, entry.*
    FROM UNNEST($1::uuid[], $2::bigint[]) WITH ORDINALITY AS known (order_id, version, position)
    CROSS JOIN LATERAL (
        SELECT order_id, customer_id, order_events.version, event_id, event_type, order_events.status,
               order_events.rejection_reason, occurred_at, cause_id
        FROM orders JOIN order_events USING (order_id)
        WHERE order_id = known.order_id AND order_events.version > LEAST(known.version, orders.version - 1)
        ORDER BY order_events.version LIMIT $3
    ) AS entry
    ORDER BY known.position, entry.version";

/// Reads [`EntryRow`]s. LATERAL with LIMIT is a lookup in the primary key per order, whatever the planner estimates: a hash
/// join would read the whole history of all orders.
const ENTRIES_AFTER: &str = "
    SELECT entry.* FROM UNNEST($1::uuid[], $2::bigint[]) AS known (order_id, version)
    CROSS JOIN LATERAL (
        SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, cause_id
        FROM order_events WHERE order_id = known.order_id AND version > known.version
        ORDER BY version LIMIT $3
    ) AS entry";

/// The order store on PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Arc<Postgres>,
    hand_over: HandOver,
    operations: Operations,
}

impl PostgresStore {
    /// The store in this database, whose schema is at [`MIGRATIONS`] or newer.
    pub fn new(database: Arc<Postgres>, hand_over: HandOver) -> Self {
        let operations = Operations::new(database.statements());
        Self {
            database,
            hand_over,
            operations,
        }
    }

    /// One transaction behind the locks of the orders.
    async fn change_orders<C: OrderCommand>(
        &self,
        operation: &Operation,
        batch: &[C],
    ) -> Result<Committed<C::Reply>, StoreError> {
        let change = || async {
            let mut transaction = self.database.pool().begin().await?;
            let mut orders = tracked::lock(&mut transaction, batch).await?;
            let decided = orders.apply(batch);
            let inserted = tracked::write(&mut transaction, &orders, &decided).await?;
            transaction.commit().await?;
            self.hand_over.committed(inserted);
            Ok(decided.committed())
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
        let place = || place::place(self.database.pool(), batch, &self.hand_over);
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

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Committed<Applied>, StoreError> {
        self.change_orders(&self.operations.apply, batch).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Committed<CancelReply>, StoreError> {
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

    async fn histories(
        &self,
        after: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<Option<History>>, StoreError> {
        let histories = sqlx::query_as(HISTORIES)
            .bind(column(after, |(order_id, _)| order_id.as_uuid()))
            .bind(column(after, |(_, version)| signed(*version)))
            .bind(signed(limit as u64));
        let read = async {
            let entries = histories.fetch_all(self.database.pool()).await?;
            rows::histories(entries, after.len())
        };
        let operation = &self.operations.histories;
        operation.run(after.len(), bounded(read)).await
    }

    async fn entries_after(
        &self,
        known: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let entries = sqlx::query_as(ENTRIES_AFTER)
            .bind(column(known, |(order_id, _)| order_id.as_uuid()))
            .bind(column(known, |(_, version)| signed(*version)))
            .bind(signed(limit as u64));
        let read = async {
            let entries: Vec<EntryRow> = entries.fetch_all(self.database.pool()).await?;
            rows::read(entries)
        };
        self.operations.entries_after.run(1, bounded(read)).await
    }
}
