//! Reading: one order, a page of a customer's orders, a stretch of a history.

use sqlx::{QueryBuilder, SqlitePool};
use uuid::Uuid;

use super::rows;
use crate::domain::{CustomerId, HistoryEntry, Order, OrderId};

pub(super) async fn order(
    reader: &SqlitePool,
    order_id: OrderId,
) -> Result<Option<Order>, sqlx::Error> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(rows::ORDER_COLUMNS);
    query.push(" FROM orders WHERE order_id = ");
    query.push_bind(order_id.as_uuid());
    let row = query.build().fetch_optional(reader).await?;
    row.as_ref().map(rows::order).transpose()
}

/// Pages by key and not by offset: an order placed meanwhile shifts nothing.
pub(super) async fn page(
    reader: &SqlitePool,
    customer_id: &CustomerId,
    before: Option<OrderId>,
    limit: u32,
) -> Result<Vec<Order>, sqlx::Error> {
    let before = before.map_or(Uuid::max(), OrderId::as_uuid);
    let mut query = QueryBuilder::new("SELECT ");
    query.push(rows::ORDER_COLUMNS);
    query.push(" FROM orders WHERE customer_id = ");
    query.push_bind(customer_id.as_str());
    query.push(" AND order_id < ").push_bind(before);
    query
        .push(" ORDER BY order_id DESC LIMIT ")
        .push_bind(limit);
    let rows = query.build().fetch_all(reader).await?;
    rows.iter().map(rows::order).collect()
}

pub(super) async fn history(
    reader: &SqlitePool,
    order_id: OrderId,
    after_version: u64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at \
         FROM order_events WHERE order_id = ? AND version > ? ORDER BY version LIMIT ?",
    )
    .bind(order_id.as_uuid())
    .bind(rows::signed(after_version))
    .bind(limit)
    .fetch_all(reader)
    .await?;
    rows.iter().map(rows::history_entry).collect()
}
