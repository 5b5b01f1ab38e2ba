//! Rows of `retry_events`: the same columns on both engines.

use std::time::Duration;

use sqlx::FromRow;

use super::{Claimed, Fault, FaultClass, RetryState, RetryStoreError, ordering_key};
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

/// A row to be inserted.
pub(super) struct Insertion<'a> {
    pub(super) record: &'a Record,
    pub(super) ordering_key: Option<&'a [u8]>,
    pub(super) headers: Vec<u8>,
    pub(super) fault: FaultColumns,
    pub(super) state: StateColumns,
    /// Insert only if the key is blocked.
    pub(super) only_behind: bool,
}

impl<'a> Insertion<'a> {
    pub(super) fn of_failed(record: &'a Record, fault: &Fault, state: RetryState) -> Self {
        Self {
            record,
            ordering_key: ordering_key(record),
            headers: headers::encode(&record.headers),
            fault: FaultColumns::from(fault),
            state: StateColumns::from(state),
            only_behind: false,
        }
    }

    pub(super) fn of_follower(record: &'a Record) -> Self {
        Self {
            record,
            ordering_key: ordering_key(record),
            headers: headers::encode(&record.headers),
            fault: FaultColumns::default(),
            state: StateColumns {
                name: WAITING,
                retry_after: 0,
            },
            only_behind: true,
        }
    }
}

/// `record_timestamp`
pub(super) fn timestamp(record: &Record) -> i64 {
    record.timestamp_ms.unwrap_or(NO_TIMESTAMP)
}

/// `fault_class` to `last_failed_at`
#[derive(Default)]
pub(super) struct FaultColumns {
    pub(super) class: Option<&'static str>,
    pub(super) message: Option<String>,
    pub(super) attempts: i64,
    pub(super) first_failed_at: Option<i64>,
    pub(super) last_failed_at: Option<i64>,
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
    pub(super) name: &'static str,
    pub(super) retry_after: i64,
}

impl From<RetryState> for StateColumns {
    fn from(state: RetryState) -> Self {
        match state {
            RetryState::Waiting { retry_after } => Self {
                name: WAITING,
                retry_after: millis(retry_after),
            },
            RetryState::Dead => Self {
                name: DEAD,
                retry_after: 0,
            },
        }
    }
}

impl StateColumns {
    /// `next_attempt_at`
    pub(super) fn next_attempt(&self, now: i64) -> Option<i64> {
        (self.name == WAITING).then_some(now + self.retry_after)
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
