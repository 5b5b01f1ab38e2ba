//! The order store on SQLite: one file, one writer connection, and readers that do not wait for it.

use std::sync::Arc;

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::columns::signed;
use sql::sqlite::{Sqlite, for_keys};
use sqlx::migrate::Migrator;
use uuid::Uuid;

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

pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The order store on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Arc<Sqlite>,
    operations: Operations,
}

impl SqliteStore {
    /// The store in this database, which was opened with [`MIGRATIONS`].
    pub fn new(database: Arc<Sqlite>) -> Self {
        let operations = Operations::new(database.statements());
        Self {
            database,
            operations,
        }
    }

    async fn change_orders<C: OrderCommand>(
        &self,
        operation: &Operation,
        batch: &[C],
    ) -> Result<Vec<C::Reply>, StoreError> {
        let change = async {
            let mut transaction = self.database.begin().await?;
            let mut orders = tracked::read(&mut transaction, batch).await?;
            let decided = orders.apply(batch);
            tracked::write(&mut transaction, &orders, &decided).await?;
            transaction.commit().await?;
            Ok(decided.replies)
        };
        operation.run(batch.len(), change).await
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

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        self.change_orders(&self.operations.apply, batch).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
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

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        _deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let history = sqlx::query_as(rows::HISTORY)
            .bind(order_id.as_uuid())
            .bind(signed(after_version))
            .bind(i64::from(limit));
        let read = async {
            let entries: Vec<EntryRow> = history.fetch_all(self.database.reader()).await?;
            rows::read(entries)
        };
        self.operations.history.run(1, read).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        let select = "SELECT order_id, version FROM orders WHERE order_id IN";
        let read = async {
            let mut versions = Vec::with_capacity(orders.len());
            for mut query in for_keys(select, orders, |order_id| order_id.as_uuid()) {
                let rows = query.build_query_as::<(Uuid, i64)>();
                versions.extend(rows.fetch_all(self.database.reader()).await?);
            }
            versions.into_iter().map(rows::version).collect()
        };
        self.operations.versions.run(1, read).await
    }
}
