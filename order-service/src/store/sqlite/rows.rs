//! Values of the domain as columns, and back.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::convert;
use crate::domain::{
    CustomerId, EventType, Fingerprint, HistoryEntry, Order, OrderId, OrderStatus, RequestId,
    Timestamp,
};

/// The columns that [`order`] reads.
pub(super) const ORDER_COLUMNS: &str =
    "order_id, customer_id, status, rejection_reason, version, body, created_at, updated_at";

/// An order from [`ORDER_COLUMNS`].
pub(super) fn order(row: &SqliteRow) -> Result<Order, sqlx::Error> {
    let customer_id: String = row.try_get("customer_id")?;
    Ok(Order {
        id: order_id(row)?,
        customer_id: CustomerId::parse(customer_id).map_err(damaged)?,
        status: status(row)?,
        version: unsigned(row, "version")?,
        lines: convert::decode_body(row.try_get("body")?).map_err(damaged)?,
        created_at: timestamp(row, "created_at")?,
        updated_at: timestamp(row, "updated_at")?,
    })
}

/// A history entry from all columns of `order_events`.
pub(super) fn history_entry(row: &SqliteRow) -> Result<HistoryEntry, sqlx::Error> {
    let event_type: &str = row.try_get("event_type")?;
    let event_type =
        EventType::from_name(event_type).ok_or_else(|| damaged("unknown event type"))?;
    Ok(HistoryEntry {
        order_id: order_id(row)?,
        version: unsigned(row, "version")?,
        event_id: row.try_get("event_id")?,
        event_type,
        status: status(row)?,
        occurred_at: timestamp(row, "occurred_at")?,
    })
}

/// Column `order_id`.
pub(super) fn order_id(row: &SqliteRow) -> Result<OrderId, sqlx::Error> {
    row.try_get::<Uuid, _>("order_id").map(OrderId::new)
}

/// Column `request_id`.
pub(super) fn request_id(row: &SqliteRow) -> Result<RequestId, sqlx::Error> {
    row.try_get::<Uuid, _>("request_id").map(RequestId::new)
}

/// Column `fingerprint`.
pub(super) fn fingerprint(row: &SqliteRow) -> Result<Fingerprint, sqlx::Error> {
    let bytes: &[u8] = row.try_get("fingerprint")?;
    let digest = bytes.try_into().map_err(damaged)?;
    Ok(Fingerprint::from_bytes(digest))
}

/// A column that counts.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(damaged)
}

/// A count as a column: SQLite's integers are signed, and nothing here is counted to 2^63.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The reason column of a state.
pub(super) fn reason_column(status: OrderStatus) -> Option<&'static str> {
    status.rejection_reason().map(|reason| reason.name())
}

/// An error for stored data that this release would not have written.
pub(super) fn damaged(
    what: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

fn status(row: &SqliteRow) -> Result<OrderStatus, sqlx::Error> {
    let name: &str = row.try_get("status")?;
    let reason: Option<&str> = row.try_get("rejection_reason")?;
    OrderStatus::from_names(name, reason).ok_or_else(|| damaged("unknown state"))
}

fn timestamp(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get(column).map(Timestamp::from_unix_millis)
}
