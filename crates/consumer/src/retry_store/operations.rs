//! The operations of an operator on the retry store: list and show events, redrive dead ones, skip them with a reason.
//!
//! * **Order holds**: only the head of a key is redriven or skipped, so no event overtakes a dead one of its key.
//! * **A redrive handles nothing itself.** It makes the event due; the sweeper of the running service handles it.
//! * **Every change has an audit row**, written in the same transaction.
//!
//! The decisions are made here, without SQL; `operate.rs` reads the row under its lock and writes the result.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::FromRow;

use super::{Fault, FaultClass, RetryStoreError};
use kafka::record::Record;

/// After this many redrives another one needs `--force`: the cause is probably still there.
pub const MAX_REDRIVES: u32 = 5;

/// Upper bound of the count of rows behind an event: a key may have very many.
pub const MAX_COUNTED_BEHIND: u32 = 1_000;

/// Longest reason and longest actor name, in bytes.
pub const MAX_TEXT: usize = 1_024;

/// The state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Retried by the sweeper, when it is the head of its key.
    Waiting,
    /// On the dead-letter topic; waits for an operator.
    Dead,
    /// Skipped by an operator; does not block its key.
    Skipped,
}

/// An event of the retry store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryEvent {
    /// Id of the row.
    pub id: i64,
    /// Waiting, dead or skipped.
    pub state: State,
    /// The record as it was consumed; in a list without its payload.
    pub record: Record,
    /// The last failure; `None` for an event that only waits behind others.
    pub fault: Option<Fault>,
    /// Failed rounds of the sweeper since it was stored or redriven.
    pub rounds: u32,
    /// Redrives by an operator.
    pub redrives: u32,
    /// When it was stored, in unix milliseconds.
    pub stored_at: i64,
    /// When it is due, in unix milliseconds; `None` for an event behind others.
    pub next_attempt_at: Option<i64>,
    /// Id of the first event of its key, which may be this one. `None` without an ordering key.
    pub head: Option<i64>,
    /// Events of its key behind it, counted up to [`MAX_COUNTED_BEHIND`].
    pub behind: u32,
    /// Time since it was stored, by the clock of the database.
    pub age: Duration,
}

/// Which events are listed: those that match every field that is set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// State of the row.
    pub state: Option<State>,
    /// Class of the last failure.
    pub class: Option<FaultClass>,
    /// Key of the record.
    pub key: Option<Vec<u8>>,
    /// Only the first event of each key.
    pub only_heads: bool,
    /// Only ids above this one, for paging.
    pub after: i64,
}

/// A page of events, by ascending id.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The readable ones.
    pub events: Vec<RetryEvent>,
    /// Ids of rows that this release cannot read.
    pub damaged: Vec<i64>,
}

/// Size of the retry store, without skipped events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryStoreCount {
    /// Waiting and dead events.
    pub events: u64,
    /// Blocked keys. Events without an ordering key block none.
    pub keys: u64,
}

/// One change by an operator.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AuditEntry {
    /// Id of the audit row.
    pub id: i64,
    /// Time of the change, in unix milliseconds.
    pub at: i64,
    /// Name of the operator.
    pub actor: String,
    /// `REDRIVE` or `SKIP`.
    pub action: String,
    /// Id of the event; its row is deleted when the event was handled.
    pub event_id: i64,
    /// Key of the event.
    pub key: Option<Vec<u8>>,
    /// Origin and last failure of the event, and the reason of the operator.
    pub detail: String,
}

/// Why an operation was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorRefusal {
    /// The row does not exist.
    #[error("no event {id} in the retry store: it was handled, or never existed")]
    Unknown {
        /// The requested id.
        id: i64,
    },
    /// Only dead events can be redriven or skipped.
    #[error("event {id} is not dead but {}", state.name())]
    NotDead {
        /// Id of the event.
        id: i64,
        /// State of the event.
        state: State,
    },
    /// The row was written by a later release.
    #[error("event {id} is in a state unknown to this release")]
    Unreadable {
        /// Id of the event.
        id: i64,
    },
    /// It is not the head of its key.
    #[error("event {id} waits behind {head}, the head of its key: redrive or skip that one")]
    Behind {
        /// Id of the event.
        id: i64,
        /// Id of the head.
        head: i64,
    },
    /// [`MAX_REDRIVES`] reached.
    #[error(
        "event {id} was redriven {redrives} times and died each time: remove the cause, or use --force"
    )]
    RedrivenTooOften {
        /// Id of the event.
        id: i64,
        /// Redrives so far.
        redrives: u32,
    },
}

/// An operation had no effect.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The state of the event does not allow it.
    #[error(transparent)]
    Refused(#[from] OperatorRefusal),
    /// The database failed.
    #[error(transparent)]
    RetryStore(#[from] RetryStoreError),
}

impl From<sqlx::Error> for OperationError {
    fn from(error: sqlx::Error) -> Self {
        Self::RetryStore(error.into())
    }
}

/// The retry store as an operator uses it.
///
/// Errors of all calls: the database failed, or [`OperatorRefusal`].
#[async_trait]
pub trait Operations: Send + Sync + 'static {
    /// Up to `limit` events by ascending id, without payloads.
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Listing, RetryStoreError>;

    /// One event, with its payload.
    async fn get(&self, id: i64) -> Result<Option<RetryEvent>, RetryStoreError>;

    /// Makes a dead head due, with all its rounds. `force` overrides [`MAX_REDRIVES`].
    async fn redrive(&self, id: i64, actor: &str, force: bool) -> Result<(), OperationError>;

    /// Removes a dead head from its key permanently; its row is kept.
    async fn skip(&self, id: i64, actor: &str, reason: &str) -> Result<(), OperationError>;

    /// Waiting and dead events and their keys, counted up to `at_most` events.
    async fn count(&self, at_most: u32) -> Result<RetryStoreCount, RetryStoreError>;

    /// The last changes, latest first.
    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, RetryStoreError>;
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Dead, Self::Skipped];

    /// The name in the command line and its output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }
}

impl RetryEvent {
    /// Whether it may be redriven now.
    ///
    /// # Errors
    /// [`OperatorRefusal`] with the reason.
    pub fn may_be_redriven(&self, force: bool) -> Result<(), OperatorRefusal> {
        is_dead_head(self.id, self.state, self.head)?;
        is_not_redriven_too_often(self.id, self.redrives, force)
    }
}

/// `head` is the first id of its key.
pub(super) fn is_dead_head(
    id: i64,
    state: State,
    head: Option<i64>,
) -> Result<(), OperatorRefusal> {
    match (state, head) {
        (State::Skipped, _) => Err(OperatorRefusal::NotDead { id, state }),
        // An event behind another is mostly not dead: naming the head is the better answer.
        (_, Some(head)) if head != id => Err(OperatorRefusal::Behind { id, head }),
        (State::Waiting, _) => Err(OperatorRefusal::NotDead { id, state }),
        (State::Dead, _) => Ok(()),
    }
}

pub(super) fn is_not_redriven_too_often(
    id: i64,
    redrives: u32,
    force: bool,
) -> Result<(), OperatorRefusal> {
    if redrives >= MAX_REDRIVES && !force {
        return Err(OperatorRefusal::RedrivenTooOften { id, redrives });
    }
    Ok(())
}
