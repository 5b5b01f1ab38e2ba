//! Reads: an order, a page of a customer's orders, part of a history, versions.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{CustomerId, HistoryEntry, Order, OrderId};
use crate::store::rows::{self, EntryRow, OrderRow, VersionRow, column};

pub(super) async fn order(
    connection: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Order>, sqlx::Error> {
    let row: Option<OrderRow> = sqlx::query_as(
        "SELECT order_id, customer_id, status, rejection_reason, version, body, availability, \
                created_at, updated_at \
         FROM orders WHERE order_id = $1",
    )
    .bind(order_id.as_uuid())
    .fetch_optional(connection)
    .await?;
    row.map(Order::try_from).transpose()
}

/// Pages by key, not by offset: an order placed in the meantime does not shift the next page.
pub(super) async fn page(
    connection: &mut PgConnection,
    customer_id: &CustomerId,
    before: Option<OrderId>,
    limit: u32,
) -> Result<Vec<Order>, sqlx::Error> {
    let before = before.map_or(Uuid::max(), OrderId::as_uuid);
    let orders: Vec<OrderRow> = sqlx::query_as(
        "SELECT order_id, customer_id, status, rejection_reason, version, body, availability, \
                created_at, updated_at \
         FROM orders WHERE customer_id = $1 AND order_id < $2 ORDER BY order_id DESC LIMIT $3",
    )
    .bind(customer_id.as_str())
    .bind(before)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows::read(orders)
}

pub(super) async fn history(
    connection: &mut PgConnection,
    order_id: OrderId,
    after_version: u64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let entries: Vec<EntryRow> = sqlx::query_as(
        "SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, \
                cause_id \
         FROM order_events WHERE order_id = $1 AND version > $2 ORDER BY version LIMIT $3",
    )
    .bind(order_id.as_uuid())
    .bind(rows::signed(after_version))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows::read(entries)
}

pub(super) async fn versions(
    pool: &PgPool,
    order_ids: &[OrderId],
) -> Result<Vec<(OrderId, u64)>, sqlx::Error> {
    let versions: Vec<VersionRow> =
        sqlx::query_as("SELECT order_id, version FROM orders WHERE order_id = ANY($1)")
            .bind(column(order_ids, |order_id| order_id.as_uuid()))
            .fetch_all(pool)
            .await?;
    rows::read(versions)
}
