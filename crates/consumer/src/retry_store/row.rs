//! Rows of `retry_events`: the same columns on both engines.

use std::time::Duration;

use sqlx::FromRow;

use super::connection::Query;
use super::{Claimed, Fault, FaultClass, RetryState, RetryStoreError};
use kafka::headers::RecordHeaders;
use kafka::record::Record;

/// In bytes. Longer messages are cut: they are for an operator to read.
const MAX_MESSAGE: usize = 1_024;

/// Longest delay: one year, which cannot overflow when added to a clock.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A record without a timestamp, as in librdkafka.
const NO_TIMESTAMP: i64 = -1;

/// `record_timestamp`
pub(super) fn timestamp(record: &Record) -> i64 {
    record.timestamp_ms.unwrap_or(NO_TIMESTAMP)
}

/// `fault_class` to `last_failed_at`: five parameters.
pub(super) fn bind_fault<'c>(query: Query<'c>, fault: Option<&Fault>) -> Query<'c> {
    let message = fault.map(|fault| {
        // PostgreSQL's text holds no NUL, and an error may quote one.
        let mut message = fault.message.replace('\0', "\u{fffd}");
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message
    });
    query
        .bind(fault.map(|fault| fault.class.name()))
        .bind(message)
        .bind(fault.map_or(0, |fault| i64::from(fault.attempts)))
        .bind(fault.map(|fault| fault.first_failed_at))
        .bind(fault.map(|fault| fault.last_failed_at))
}

/// `state`, and the delay until the next attempt in milliseconds: two parameters.
pub(super) fn bind_state(query: Query<'_>, state: RetryState) -> Query<'_> {
    match state {
        RetryState::Waiting { retry_after } => query.bind("WAITING").bind(millis(retry_after)),
        RetryState::Dead => query.bind("DEAD").bind(0_i64),
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.min(MAX_TIME).as_millis()).unwrap_or(i64::MAX)
}

/// A row as it is read.
#[derive(FromRow)]
pub(super) struct RetryEventRow {
    pub(super) id: i64,
    topic: String,
    partition: i32,
    record_offset: i64,
    record_timestamp: i64,
    key: Option<Vec<u8>>,
    headers: Vec<u8>,
    payload: Option<Vec<u8>>,
    fault_class: Option<String>,
    fault_message: Option<String>,
    attempts: i64,
    first_failed_at: Option<i64>,
    last_failed_at: Option<i64>,
    rounds: i64,
    redrives: i64,
}

/// The rows as claimed events. A damaged row is logged and left out, so that it does not block others.
pub(super) fn claimed(mut rows: Vec<RetryEventRow>) -> Vec<Claimed> {
    rows.sort_unstable_by_key(|row| row.id);
    let rows = rows.into_iter().map(|row| (row.id, Claimed::try_from(row)));
    rows.filter_map(|(id, claimed)| match claimed {
        Ok(claimed) => Some(claimed),
        Err(_) => {
            tracing::error!(id, "retry event damaged, not handled");
            None
        }
    })
    .collect()
}

impl TryFrom<RetryEventRow> for Claimed {
    type Error = RetryStoreError;

    fn try_from(row: RetryEventRow) -> Result<Self, RetryStoreError> {
        let damaged = |_| RetryStoreError::Damaged(row.id);
        let has_timestamp = row.record_timestamp != NO_TIMESTAMP;
        Ok(Self {
            id: row.id,
            fault: row.fault()?,
            record: Record {
                topic: row.topic,
                partition: row.partition,
                offset: row.record_offset,
                timestamp_ms: has_timestamp.then_some(row.record_timestamp),
                key: row.key,
                headers: RecordHeaders::from_encoded(row.headers).map_err(damaged)?,
                payload: row.payload,
            },
            rounds: count(row.rounds),
            redrives: count(row.redrives),
        })
    }
}

impl RetryEventRow {
    fn fault(&self) -> Result<Option<Fault>, RetryStoreError> {
        let Some(name) = &self.fault_class else {
            return Ok(None);
        };
        let class = FaultClass::named(name).ok_or(RetryStoreError::Damaged(self.id))?;
        Ok(Some(Fault {
            class,
            message: self.fault_message.clone().unwrap_or_default(),
            attempts: count(self.attempts),
            first_failed_at: self.first_failed_at.unwrap_or_default(),
            last_failed_at: self.last_failed_at.unwrap_or_default(),
        }))
    }
}

/// Counts are never negative.
pub(super) fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}
