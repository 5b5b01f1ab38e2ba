//! RetryState events as rows: the same columns on both engines.

use std::time::Duration;

use sqlx::FromRow;

use super::{Claimed, Fault, FaultClass, RetryState, RetryStoreError, ordering_key};
use kafka::headers;
use kafka::record::Record;

/// A message is for a person to read: longer ones are cut. In bytes.
const MAX_MESSAGE: usize = 1_024;

/// Nobody means to wait longer than a year, and a time that far off cannot overflow when it is added to a clock.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Stands for the time of a record that has none, as in librdkafka.
const NO_TIMESTAMP: i64 = -1;

/// Its state in the database.
pub(super) const WAITING: &str = "WAITING";
/// Its state in the database.
pub(super) const DEAD: &str = "DEAD";
/// Its state in the database.
pub(super) const SKIPPED: &str = "SKIPPED";

/// An event that is to be parked.
pub(super) struct Insertion<'a> {
    pub(super) record: &'a Record,
    pub(super) ordering_key: Option<&'a [u8]>,
    pub(super) headers: Vec<u8>,
    pub(super) fault: FaultColumns,
    pub(super) state: StateColumns,
    /// Whether it is parked only if its key is fenced.
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

/// `state`, and the time to the next attempt in milliseconds.
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

/// An event as it is read back.
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

/// The rows as claimed events. One that is damaged must not hold up the others: it is reported, and left out.
pub(super) fn claimed(mut rows: Vec<RetryEventRow>) -> Vec<Claimed> {
    rows.sort_unstable_by_key(|row| row.id);
    let rows = rows.into_iter().map(|row| (row.id, Claimed::try_from(row)));
    rows.filter_map(|(id, claimed)| match claimed {
        Ok(claimed) => Some(claimed),
        Err(_) => {
            tracing::error!(id, "a parked event is damaged and is not handled");
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

/// A count as it was written, which is never negative.
pub(super) fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}
