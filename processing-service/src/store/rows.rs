//! Rows of sagas and of stock. Their columns are the same on both engines because the auditor and operators read them.

use std::collections::{BTreeSet, HashMap};

use sqlx::FromRow;
use uuid::Uuid;

use super::processing_store::StoreError;
use super::unit_of_work::Saga;
use crate::conversion;
use crate::domain::{
    Abandonment, CaptureId, Currency, Money, OrderId, RejectionReason, SagaState, Sku, StockLevel,
};

#[derive(Debug, FromRow)]
pub(super) struct SagaRow {
    order_id: Uuid,
    state: String,
    reason: Option<String>,
    next_sequence: i64,
    lines: Vec<u8>,
}

/// # Errors
/// [`StoreError::Damaged`] for values that this service never writes.
pub(super) fn sagas(
    rows: impl IntoIterator<Item = SagaRow>,
) -> Result<HashMap<OrderId, Saga>, StoreError> {
    let read = |row: SagaRow| {
        let order_id = OrderId::new(row.order_id);
        let damaged = || StoreError::Damaged(order_id);
        let saga = Saga {
            state: state(&row.state, row.reason.as_deref()).ok_or_else(damaged)?,
            next_sequence: u64::try_from(row.next_sequence).map_err(|_| damaged())?,
            demand: conversion::stored_demand(&row.lines).ok_or_else(damaged)?,
        };
        Ok((order_id, saga))
    };
    rows.into_iter().map(read).collect()
}

/// Reads a [`PaymentRow`].
pub(super) const PAYMENT: &str =
    "SELECT capture_id, currency, minor_units FROM payments WHERE order_id = $1";

#[derive(Debug, FromRow)]
pub(super) struct PaymentRow {
    capture_id: String,
    currency: String,
    minor_units: i64,
}

impl PaymentRow {
    /// `None` for values that this service never writes.
    pub(super) fn read(&self) -> Option<(CaptureId, Money)> {
        let currency = Currency::parse(&self.currency).ok()?;
        let amount = Money::new(currency, self.minor_units).ok()?;
        Some((CaptureId::new(&self.capture_id), amount))
    }
}

#[derive(Debug, FromRow)]
pub(super) struct StockRow {
    sku: String,
    available: i64,
    reserved: i64,
    shipped: i64,
}

/// The stock by SKU. The rows were selected by these SKUs, so each is found; the key shares its allocation.
pub(super) fn levels(rows: Vec<StockRow>, skus: &BTreeSet<Sku>) -> HashMap<Sku, StockLevel> {
    let level = |row: StockRow| {
        let level = StockLevel {
            available: row.available,
            reserved: row.reserved,
            shipped: row.shipped,
        };
        Some((skus.get(row.sku.as_str())?.clone(), level))
    };
    rows.into_iter().filter_map(level).collect()
}

/// The columns `state` and `reason`. A compensation without a reason ends in `CANCELLED`.
pub(super) fn columns(state: SagaState) -> (&'static str, Option<&'static str>) {
    match state {
        // Never stored: a saga has no row before its first step. Listed to make the function total.
        SagaState::Placed => ("PLACED", None),
        SagaState::Reserved => ("RESERVED", None),
        SagaState::Captured => ("CAPTURED", None),
        SagaState::Compensating(Abandonment::Rejected(reason)) => {
            ("COMPENSATING", Some(reason.name()))
        }
        SagaState::Compensating(Abandonment::Cancelled) => ("COMPENSATING", None),
        SagaState::Fulfilled => ("FULFILLED", None),
        SagaState::Rejected(reason) => ("REJECTED", Some(reason.name())),
        SagaState::Cancelled => ("CANCELLED", None),
    }
}

/// The inverse of [`columns`]; `None` for values that it never writes.
fn state(state: &str, reason: Option<&str>) -> Option<SagaState> {
    let state = match (state, reason) {
        ("RESERVED", None) => SagaState::Reserved,
        ("CAPTURED", None) => SagaState::Captured,
        ("COMPENSATING", None) => SagaState::Compensating(Abandonment::Cancelled),
        ("COMPENSATING", Some(word)) => {
            SagaState::Compensating(Abandonment::Rejected(reason_of(word)?))
        }
        ("FULFILLED", None) => SagaState::Fulfilled,
        ("REJECTED", Some(word)) => SagaState::Rejected(reason_of(word)?),
        ("CANCELLED", None) => SagaState::Cancelled,
        _ => return None,
    };
    Some(state)
}

fn reason_of(word: &str) -> Option<RejectionReason> {
    match word {
        "UNKNOWN_SKU" => Some(RejectionReason::UnknownSku),
        "OUT_OF_STOCK" => Some(RejectionReason::OutOfStock),
        "PAYMENT_DECLINED" => Some(RejectionReason::PaymentDeclined),
        "PAYMENT_UNAVAILABLE" => Some(RejectionReason::PaymentUnavailable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_state_is_read_back() {
        let reasons = [
            RejectionReason::UnknownSku,
            RejectionReason::OutOfStock,
            RejectionReason::PaymentDeclined,
            RejectionReason::PaymentUnavailable,
        ];
        let mut states = vec![
            SagaState::Reserved,
            SagaState::Captured,
            SagaState::Compensating(Abandonment::Cancelled),
            SagaState::Fulfilled,
            SagaState::Cancelled,
        ];
        states.extend(reasons.map(SagaState::Rejected));
        states.extend(reasons.map(|reason| SagaState::Compensating(Abandonment::Rejected(reason))));

        for written in states {
            let (word, reason) = columns(written);
            assert_eq!(state(word, reason), Some(written));
        }
    }

    #[test]
    fn columns_that_are_never_written_are_not_read() {
        for (word, reason) in [
            ("SHIPPED", None),
            ("REJECTED", None),
            ("REJECTED", Some("BAD_MOOD")),
        ] {
            assert_eq!(state(word, reason), None);
        }
    }
}
