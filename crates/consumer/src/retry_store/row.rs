//! Rows of `retry_events`: the same columns on both engines.

use std::time::Duration;

use sqlx::FromRow;

use super::connection::Query;
use super::{Claimed, Fault, FaultClass, RetryState, RetryStoreError};
use kafka::headers;
use kafka::record::Record;

/// In bytes. Longer messages are cut: they are for an operator to read.
const MAX_MESSAGE: usize = 1_024;

/// Longest delay: one year, which cannot overflow when added to a clock.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A record without a timestamp, as in librdkafka.
const NO_TIMESTAMP: i64 = -1;

pub(super) const WAITING: &str = "WAITING";
pub(super) const DEAD: &str = "DEAD";
pub(super) const SKIPPED: &str = "SKIPPED";

/// `record_timestamp`
pub(super) fn timestamp(record: &Record) -> i64 {
    record.timestamp_ms.unwrap_or(NO_TIMESTAMP)
}

/// `fault_class` to `last_failed_at`
#[derive(Default)]
pub(super) struct FaultColumns {
    class: Option<&'static str>,
    message: Option<String>,
    attempts: i64,
    first_failed_at: Option<i64>,
    last_failed_at: Option<i64>,
}

impl FaultColumns {
    /// Five parameters.
    pub(super) fn bind<'c>(&self, query: Query<'c>) -> Query<'c> {
        query
            .bind(self.class)
            .bind(&self.message)
            .bind(self.attempts)
            .bind(self.first_failed_at)
            .bind(self.last_failed_at)
    }
}

impl From<&Fault> for FaultColumns {
    fn from(fault: &Fault) -> Self {
        // PostgreSQL's text holds no NUL, and an error may quote one.
        let mut message = fault.message.replace('\0', "\u{fffd}");
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        Self {
            class: Some(fault.class.name()),
            message: Some(message),
            attempts: i64::from(fault.attempts),
            first_failed_at: Some(fault.first_failed_at),
            last_failed_at: Some(fault.last_failed_at),
        }
    }
}

/// `state`, and the delay until the next attempt in milliseconds.
pub(super) struct StateColumns {
    name: &'static str,
    retry_after: i64,
}

impl StateColumns {
    pub(super) const DUE: Self = Self {
        name: WAITING,
        retry_after: 0,
    };

    /// Two parameters.
    pub(super) fn bind<'c>(&self, query: Query<'c>) -> Query<'c> {
        query.bind(self.name).bind(self.retry_after)
    }
}

impl From<RetryState> for StateColumns {
    fn from(state: RetryState) -> Self {
        let (name, retry_after) = match state {
            RetryState::Waiting { retry_after } => (WAITING, millis(retry_after)),
            RetryState::Dead => (DEAD, 0),
        };
        Self { name, retry_after }
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
                headers: headers::decode(&row.headers).map_err(damaged)?,
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
