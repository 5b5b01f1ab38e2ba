//! Reads: an order, a page of a customer's orders, part of a history, versions.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};
use uuid::Uuid;

use crate::domain::{CustomerId, HistoryEntry, Order, OrderId};
use crate::store::rows::{self, EntryRow, OrderRow, VersionRow};

/// Rows per statement: at most eleven parameters each, well below SQLite's limit of 32,766.
pub(super) const ROWS_PER_STATEMENT: usize = 1_000;

/// The columns of an [`OrderRow`].
pub(super) const ORDER_COLUMNS: &str = "order_id, customer_id, status, rejection_reason, version, body, availability, created_at, \
     updated_at";

pub(super) async fn order(
    reader: &SqlitePool,
    order_id: OrderId,
) -> Result<Option<Order>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(ORDER_COLUMNS);
    query.push(" FROM orders WHERE order_id = ");
    query.push_bind(order_id.as_uuid());
    let row: Option<OrderRow> = query.build_query_as().fetch_optional(reader).await?;
    row.map(Order::try_from).transpose()
}

/// Pages by key, not by offset: an order placed in the meantime does not shift the next page.
pub(super) async fn page(
    reader: &SqlitePool,
    customer_id: &CustomerId,
    before: Option<OrderId>,
    limit: u32,
) -> Result<Vec<Order>, sqlx::Error> {
    let before = before.map_or(Uuid::max(), OrderId::as_uuid);
    let mut query = QueryBuilder::new("SELECT ");
    query.push(ORDER_COLUMNS);
    query.push(" FROM orders WHERE customer_id = ");
    query.push_bind(customer_id.as_str());
    query.push(" AND order_id < ").push_bind(before);
    query
        .push(" ORDER BY order_id DESC LIMIT ")
        .push_bind(limit);
    let orders: Vec<OrderRow> = query.build_query_as().fetch_all(reader).await?;
    rows::read(orders)
}

pub(super) async fn history(
    reader: &SqlitePool,
    order_id: OrderId,
    after_version: u64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let entries: Vec<EntryRow> = sqlx::query_as(
        "SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, \
                cause_id \
         FROM order_events WHERE order_id = ? AND version > ? ORDER BY version LIMIT ?",
    )
    .bind(order_id.as_uuid())
    .bind(rows::signed(after_version))
    .bind(limit)
    .fetch_all(reader)
    .await?;
    rows::read(entries)
}

pub(super) async fn versions(
    reader: &SqlitePool,
    order_ids: &[OrderId],
) -> Result<Vec<(OrderId, u64)>, sqlx::Error> {
    let mut versions: Vec<VersionRow> = Vec::with_capacity(order_ids.len());
    for chunk in order_ids.chunks(ROWS_PER_STATEMENT) {
        let mut query =
            QueryBuilder::new("SELECT order_id, version FROM orders WHERE order_id IN (");
        push_ids(&mut query, chunk);
        query.push(")");
        versions.extend(query.build_query_as().fetch_all(reader).await?);
    }
    rows::read(versions)
}

pub(super) fn push_ids(query: &mut QueryBuilder<Sqlite>, order_ids: &[OrderId]) {
    let mut list = query.separated(", ");
    for order_id in order_ids {
        list.push_bind(order_id.as_uuid());
    }
}
