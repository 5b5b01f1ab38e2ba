//! Rows of both engines: the queries of single tables, and the conversion to domain values and columns.

use std::collections::HashSet;

use consumer::inbox::InboxEntry;
use sqlx::FromRow;
use uuid::Uuid;

use super::order_store::History;
use super::tracked::Tracked;
use crate::conversion;
use crate::domain::{
    Availability, CustomerId, EventType, Fingerprint, HistoryEntry, Order, OrderId, OrderStatus,
    RequestId, Timestamp,
};

/// Reads an [`OrderRow`].
pub(super) const ORDER: &str = "
    SELECT order_id, customer_id, status, rejection_reason, version, body, availability, created_at, updated_at
    FROM orders WHERE order_id = $1";

/// Reads [`OrderRow`]s. Pages by key, not by offset: an order placed in the meantime does not shift the next page. Ends after
/// the order with which the bodies exceed 1 MiB: a page of the API holds no more, and a call must not read 200 of the largest.
pub(super) const PAGE: &str = "
    SELECT order_id, customer_id, status, rejection_reason, version, body, availability, created_at, updated_at
    FROM (
        SELECT *, sum(length(body)) OVER (ORDER BY order_id DESC ROWS UNBOUNDED PRECEDING) - length(body) AS bytes_before
        FROM (SELECT * FROM orders WHERE customer_id = $1 AND order_id < $2 ORDER BY order_id DESC LIMIT $3) AS page
    ) AS page
    WHERE bytes_before <= 1048576 ORDER BY order_id DESC";

/// Reads [`EntryRow`]s.
pub(super) const HISTORY: &str = "
    SELECT order_id, version, event_id, event_type, status, rejection_reason, occurred_at, cause_id
    FROM order_events WHERE order_id = $1 AND version > $2 ORDER BY version LIMIT $3";

#[derive(Debug, FromRow)]
pub(super) struct OrderRow {
    order_id: Uuid,
    customer_id: String,
    status: String,
    rejection_reason: Option<String>,
    version: i64,
    body: Vec<u8>,
    availability: Option<String>,
    created_at: i64,
    updated_at: i64,
}

/// An order with the position of its last outcome.
#[derive(Debug, FromRow)]
pub(super) struct TrackedRow {
    #[sqlx(flatten)]
    order: OrderRow,
    processing_sequence: i64,
}

/// An order with its idempotency key.
#[derive(Debug, FromRow)]
pub(super) struct SavedRow {
    #[sqlx(flatten)]
    order: OrderRow,
    request_id: Uuid,
    fingerprint: Vec<u8>,
}

#[derive(Debug, FromRow)]
pub(super) struct EntryRow {
    order_id: Uuid,
    version: i64,
    event_id: Uuid,
    event_type: String,
    status: String,
    rejection_reason: Option<String>,
    occurred_at: i64,
    cause_id: Option<Uuid>,
}

/// An entry that was read for one of many requests.
#[derive(Debug, FromRow)]
pub(super) struct HistoryRow {
    /// Of the request, from 1.
    position: i64,
    customer_id: String,
    #[sqlx(flatten)]
    entry: EntryRow,
}

impl TryFrom<OrderRow> for Order {
    type Error = sqlx::Error;

    fn try_from(row: OrderRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: OrderId::new(row.order_id),
            customer_id: CustomerId::parse(row.customer_id).map_err(damaged)?,
            status: status(&row.status, row.rejection_reason.as_deref())?,
            version: count(row.version)?,
            lines: conversion::decode_body(&row.body).map_err(damaged)?,
            availability: availability(row.availability.as_deref())?,
            created_at: Timestamp::from_unix_millis(row.created_at),
            updated_at: Timestamp::from_unix_millis(row.updated_at),
        })
    }
}

impl TryFrom<TrackedRow> for Tracked {
    type Error = sqlx::Error;

    fn try_from(row: TrackedRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            order: row.order.try_into()?,
            processing_sequence: count(row.processing_sequence)?,
        })
    }
}

impl SavedRow {
    pub(super) fn into_parts(self) -> Result<(RequestId, Fingerprint, Order), sqlx::Error> {
        let digest = self.fingerprint.as_slice().try_into().map_err(damaged)?;
        Ok((
            RequestId::new(self.request_id),
            Fingerprint::from_bytes(digest),
            self.order.try_into()?,
        ))
    }
}

impl TryFrom<EntryRow> for HistoryEntry {
    type Error = sqlx::Error;

    fn try_from(row: EntryRow) -> Result<Self, sqlx::Error> {
        let event_type = EventType::from_name(&row.event_type);
        Ok(Self {
            order_id: OrderId::new(row.order_id),
            version: count(row.version)?,
            event_id: row.event_id,
            event_type: event_type.ok_or_else(|| damaged("unknown event type"))?,
            status: status(&row.status, row.rejection_reason.as_deref())?,
            occurred_at: Timestamp::from_unix_millis(row.occurred_at),
            cause_id: row.cause_id,
        })
    }
}

/// The reply to each of so many requests. The rows of a request are ascending by version.
pub(super) fn histories(
    rows: Vec<HistoryRow>,
    requests: usize,
) -> Result<Vec<Option<History>>, sqlx::Error> {
    let mut histories = vec![None; requests];
    for row in rows {
        let position = usize::try_from(row.position).map_err(damaged)?;
        let history = histories.get_mut(position.wrapping_sub(1));
        let history = history.ok_or_else(|| damaged("a row for no request"))?;
        add_entry(history, row)?;
    }
    Ok(histories)
}

fn add_entry(history: &mut Option<History>, row: HistoryRow) -> Result<(), sqlx::Error> {
    let entry: HistoryEntry = row.entry.try_into()?;
    match history {
        Some(history) => history.entries.push(entry),
        None => {
            *history = Some(History {
                customer_id: CustomerId::parse(row.customer_id).map_err(damaged)?,
                entries: vec![entry],
            });
        }
    }
    Ok(())
}

/// Converts all rows, or returns the first error.
pub(super) fn read<R, V, C>(rows: Vec<R>) -> Result<C, sqlx::Error>
where
    R: TryInto<V, Error = sqlx::Error>,
    C: FromIterator<V>,
{
    rows.into_iter().map(R::try_into).collect()
}

pub(super) fn reason_column(status: OrderStatus) -> Option<&'static str> {
    status.rejection_reason().map(|reason| reason.name())
}

/// Checks that the inbox has inserted all applied events. Duplicates were filtered by sequence before: an event id that is
/// already in the inbox contradicts the history.
pub(super) fn all_new(applied: &[InboxEntry], new: &HashSet<Uuid>) -> Result<(), sqlx::Error> {
    if new.len() == applied.len() {
        Ok(())
    } else {
        Err(damaged("an event id was applied at another position"))
    }
}

/// An error about stored data that this release does not write.
pub(super) fn damaged(
    detail: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> sqlx::Error {
    sqlx::Error::Decode(detail.into())
}

/// The bound of [`PAGE`]: the order that ended the previous page, or none.
pub(super) fn before(order_id: Option<OrderId>) -> Uuid {
    order_id.map_or(Uuid::max(), OrderId::as_uuid)
}

fn count(value: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(value).map_err(damaged)
}

/// NULL: written by a release without the availability check.
fn availability(name: Option<&str>) -> Result<Availability, sqlx::Error> {
    let Some(name) = name else {
        return Ok(Availability::NotChecked);
    };
    Availability::from_name(name).ok_or_else(|| damaged("unknown availability"))
}

fn status(name: &str, reason: Option<&str>) -> Result<OrderStatus, sqlx::Error> {
    OrderStatus::from_names(name, reason).ok_or_else(|| damaged("unknown status"))
}
