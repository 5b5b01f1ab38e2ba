//! The order store on SQLite: one file, one writer connection, and readers that do not wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use outbox::HandOver;
use service::deadline::Deadline;
use sql::columns::signed;
use sql::sqlite::{Row, Sqlite, multi_row};
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

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The order store on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Sqlite>,
    hand_over: HandOver,
    operations: Operations,
}

impl SqliteStore {
    /// The store in this database, which was opened with [`MIGRATIONS`].
    pub fn new(database: Arc<Sqlite>, hand_over: HandOver) -> Self {
        let operations = Operations::new(database.statements());
        Self {
            database,
            hand_over,
            operations,
        }
    }

    async fn change_orders<C: OrderCommand>(
        &self,
        operation: &Operation,
        batch: &[C],
    ) -> Result<Committed<C::Reply>, StoreError> {
        let change = async {
            let mut transaction = self.database.begin().await?;
            let mut orders = tracked::read(&mut transaction, batch).await?;
            let decided = orders.apply(batch);
            let inserted = tracked::write(&mut transaction, &orders, &decided).await?;
            transaction.commit().await?;
            self.hand_over.committed(inserted);
            Ok(decided.committed())
        };
        operation.run(batch.len(), change).await
    }
}

#[async_trait]
impl OrderStore for SqliteStore {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let place = async {
            let mut transaction = self.database.begin().await?;
            let (placed, inserted) = place::place(&mut transaction, batch).await?;
            transaction.commit().await?;
            self.hand_over.committed(inserted);
            Ok(placed)
        };
        self.operations.place.run(batch.len(), place).await
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        _deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let read = async {
            let mut connection = self.database.reader().acquire().await?;
            let key = (&request.customer_id, request.request_id);
            let saved = place::find_saved(&mut connection, &[key]).await?;
            Ok(saved.reply_to(request))
        };
        self.operations.placed_before.run(1, read).await
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
        _deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        let order = sqlx::query_as(rows::ORDER).bind(order_id.as_uuid());
        let read = async {
            let row: Option<OrderRow> = order.fetch_optional(self.database.reader()).await?;
            row.map(Order::try_from).transpose()
        };
        self.operations.get.run(1, read).await
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let page = sqlx::query_as(rows::PAGE)
            .bind(customer_id.as_str())
            .bind(rows::before(before))
            .bind(i64::from(limit));
        let read = async {
            let orders: Vec<OrderRow> = page.fetch_all(self.database.reader()).await?;
            rows::read(orders)
        };
        self.operations.list.run(1, read).await
    }

    async fn histories(
        &self,
        after: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<Option<History>>, StoreError> {
        let select = "SELECT known.column1 AS position, customer_id, order_events.order_id, order_events.version, \
                      event_id, event_type, order_events.status, order_events.rejection_reason, occurred_at, \
                      cause_id FROM (";
        let requests: Vec<_> = (1_i64..).zip(after).collect();
        let bind = |mut row: Row<'_>, (position, (order_id, version)): &(i64, &(OrderId, u64))| {
            row.push_bind(*position)
                .push_bind(order_id.as_uuid())
                .push_bind(signed(*version))
                .push_bind(signed(limit as u64));
        };
        // Joins and limit as in `entries_after`.
        let join = ") AS known CROSS JOIN orders ON orders.order_id = known.column2 \
                    CROSS JOIN order_events ON order_events.order_id = known.column2 \
                    AND order_events.version > min(known.column3, orders.version - 1) \
                    AND order_events.version <= min(known.column3, orders.version - 1) + known.column4 \
                    ORDER BY known.column1, order_events.version";
        let read = async {
            let mut entries = Vec::new();
            for mut query in multi_row(select, &requests, bind, join) {
                let query = query.build_query_as();
                entries.extend(query.fetch_all(self.database.reader()).await?);
            }
            rows::histories(entries, after.len())
        };
        self.operations.histories.run(after.len(), read).await
    }

    async fn entries_after(
        &self,
        known: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let select = "SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, cause_id \
                      FROM (";
        let bind = |mut row: Row<'_>, (order_id, version): &(OrderId, u64)| {
            row.push_bind(order_id.as_uuid())
                .push_bind(signed(*version))
                .push_bind(signed(version.saturating_add(limit as u64)));
        };
        // CROSS JOIN fixes the join order: a lookup in the primary key per order. Versions have no gaps, so the limit is a
        // range.
        let join = ") AS known CROSS JOIN order_events ON order_id = known.column1 \
                    AND version > known.column2 AND version <= known.column3";
        let read = async {
            let mut entries: Vec<EntryRow> = Vec::new();
            for mut query in multi_row(select, known, bind, join) {
                let query = query.build_query_as();
                entries.extend(query.fetch_all(self.database.reader()).await?);
            }
            rows::read(entries)
        };
        self.operations.entries_after.run(1, read).await
    }
}
