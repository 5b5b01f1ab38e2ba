//! What an operator does with parked events: looks at them, redrives what is dead, or skips it with a reason.
//!
//! * **Order holds**: only the head of a key is redriven or skipped, so nothing overtakes an event that died before it.
//! * **Redriving handles nothing itself.** It makes the event due; the sweeper of the running service does the rest.
//! * **Every change leaves a row in the audit**, written in the same transaction: there is no change without its row, and no
//!   row without its change.
//!
//! What may be done is decided here, without SQL; the engines read the row under its lock and write what was decided.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::FromRow;

use super::row::{self, RetryEventRow, count};
use super::{Claimed, Fault, FaultClass, RetryStoreError};
use kafka::record::Record;

/// An event that was redriven this often comes back for a reason that another redrive does not remove.
pub const MAX_REDRIVES: u32 = 5;

/// Rows behind an event are counted up to here: a key may have very many.
pub const MAX_COUNTED_BEHIND: u32 = 1_000;

/// Longest reason and longest name of an actor, in bytes: they are for a person to read.
pub const MAX_TEXT: usize = 1_024;

/// Counts without looking at what was skipped, which stays for ever. For both engines.
pub(super) const COUNT: &str = "
WITH fencing AS (SELECT topic, ordering_key FROM retry_events WHERE state IN ('WAITING', 'DEAD') LIMIT $1)
SELECT (SELECT count(*) FROM fencing),
       (SELECT count(*) FROM (SELECT DISTINCT topic, ordering_key FROM fencing
                              WHERE ordering_key IS NOT NULL) AS keys)";

/// In which state a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is handled again by itself, when it is the head of its key.
    Waiting,
    /// It is on the dead-letter topic and waits for an operator.
    Dead,
    /// An operator decided that it is not handled; it fences nothing.
    Skipped,
}

/// A parked event as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryEvent {
    /// Identity of the row.
    pub id: i64,
    /// Its state.
    pub state: State,
    /// The record as it was consumed; in a list without its payload.
    pub record: Record,
    /// What was wrong with it, unless it only waits behind others.
    pub fault: Option<Fault>,
    /// Rounds of the sweeper so far, since it was parked or redriven.
    pub rounds: u32,
    /// How often it was redriven.
    pub redrives: u32,
    /// When it was parked, in unix milliseconds.
    pub stored_at: i64,
    /// When it is tried next, in unix milliseconds; not known for what waits behind others.
    pub next_attempt_at: Option<i64>,
    /// The event that goes first of those of its key, which may be itself. None, if it has no order to keep.
    pub head: Option<i64>,
    /// How many of its key wait behind it, counted up to [`MAX_COUNTED_BEHIND`].
    pub behind: u32,
    /// How long ago it was parked, by the database's clock.
    pub age: Duration,
}

/// Which events are wanted: all, unless a field says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// With a fault of this class.
    pub class: Option<FaultClass>,
    /// With this key.
    pub key: Option<Vec<u8>>,
    /// Not behind others of their key.
    pub only_heads: bool,
    /// With a higher id than this.
    pub after: i64,
}

/// Some events, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those that can be read.
    pub events: Vec<RetryEvent>,
    /// Those that this release cannot read.
    pub damaged: Vec<i64>,
}

/// How much is parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryStoreCount {
    /// Events.
    pub events: u64,
    /// Keys that they fence. Events without an order to keep fence none.
    pub keys: u64,
}

impl RetryStoreCount {
    pub(super) fn of((events, keys): (i64, i64)) -> Self {
        Self {
            events: events.unsigned_abs(),
            keys: keys.unsigned_abs(),
        }
    }
}

/// What was done, by whom.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct AuditEntry {
    /// Position in the audit.
    pub id: i64,
    /// When, in unix milliseconds.
    pub at: i64,
    /// By whom.
    pub actor: String,
    /// `REDRIVE` or `SKIP`.
    pub action: String,
    /// Which event, by the id of its row; the row is gone when the event was handled.
    pub stored_id: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Where the event was read, what was wrong with it, and the reason that was given.
    pub detail: String,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such row.
    #[error("there is no parked event {id}: it was handled, or never existed")]
    Unknown {
        /// The id that was asked for.
        id: i64,
    },
    /// Only what is dead waits for an operator.
    #[error("parked event {id} is not dead but {}", state.name())]
    NotDead {
        /// The event.
        id: i64,
        /// What it is.
        state: State,
    },
    /// It is in a state that a later release wrote.
    #[error("parked event {id} is in a state that this release does not know")]
    Unreadable {
        /// The event.
        id: i64,
    },
    /// Another of its key goes first.
    #[error("parked event {id} waits behind {head}, which goes first: redrive or skip that one")]
    Behind {
        /// The event.
        id: i64,
        /// The head of its key.
        head: i64,
    },
    /// The loop guard.
    #[error(
        "parked event {id} was redriven {redrives} times and died again each time: find out why, or use --force"
    )]
    RedrivenTooOften {
        /// The event.
        id: i64,
        /// How often.
        redrives: u32,
    },
}

/// An operation did not take place.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// It must not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed.
    #[error(transparent)]
    RetryStore(#[from] RetryStoreError),
}

impl From<sqlx::Error> for OperationError {
    fn from(error: sqlx::Error) -> Self {
        Self::RetryStore(error.into())
    }
}

/// RetryState events, for an operator.
#[async_trait]
pub trait Operations: Send + Sync + 'static {
    /// Up to `limit` events, by their ids and without their payloads.
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Listing, RetryStoreError>;

    /// One event.
    async fn get(&self, id: i64) -> Result<Option<RetryEvent>, RetryStoreError>;

    /// Makes a dead head due, as if it had been parked just now. `force` overrides the loop guard.
    async fn redrive(&self, id: i64, actor: &str, force: bool) -> Result<(), OperationError>;

    /// Takes a dead head out of its key for good; its row is kept.
    async fn skip(&self, id: i64, actor: &str, reason: &str) -> Result<(), OperationError>;

    /// How many events are neither handled nor skipped, and of how many keys, counted up to `at_most` events.
    async fn count(&self, at_most: u32) -> Result<RetryStoreCount, RetryStoreError>;

    /// What was done last, the latest first.
    async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, RetryStoreError>;
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Dead, Self::Skipped];

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }

    /// Its name in the database.
    pub(super) fn stored(self) -> &'static str {
        match self {
            Self::Waiting => row::WAITING,
            Self::Dead => row::DEAD,
            Self::Skipped => row::SKIPPED,
        }
    }

    pub(super) fn of_stored(stored: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.stored() == stored)
    }
}

impl RetryEvent {
    /// Whether it may be redriven now.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn may_be_redriven(&self, force: bool) -> Result<(), Refusal> {
        is_a_dead_head(self.id, self.state, self.head)?;
        is_not_redriven_too_often(self.id, self.redrives, force)
    }
}

fn is_a_dead_head(id: i64, state: State, head: Option<i64>) -> Result<(), Refusal> {
    match (state, head) {
        (State::Skipped, _) => Err(Refusal::NotDead { id, state }),
        // What waits behind another is mostly not dead: the head is the better answer.
        (_, Some(head)) if head != id => Err(Refusal::Behind { id, head }),
        (State::Waiting, _) => Err(Refusal::NotDead { id, state }),
        (State::Dead, _) => Ok(()),
    }
}

fn is_not_redriven_too_often(id: i64, redrives: u32, force: bool) -> Result<(), Refusal> {
    if redrives >= MAX_REDRIVES && !force {
        return Err(Refusal::RedrivenTooOften { id, redrives });
    }
    Ok(())
}

/// What an operator wants done with an event.
#[derive(Clone, Copy)]
pub(super) enum Action<'a> {
    Redrive { force: bool },
    Skip { reason: &'a str },
}

/// A row as it is read, under its lock, to decide about it.
#[derive(FromRow)]
pub(super) struct Candidate {
    id: i64,
    pub(super) topic: String,
    partition: i32,
    record_offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) ordering_key: Option<Vec<u8>>,
    state: String,
    fault_class: Option<String>,
    fault_message: Option<String>,
    redrives: i64,
}

impl Action<'_> {
    /// Its name in the audit.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redrive { .. } => "REDRIVE",
            Self::Skip { .. } => "SKIP",
        }
    }

    /// Whether it may be done to this row, and what the audit then says of it; `head` is the first of the row's key.
    pub(super) fn decide(
        self,
        candidate: &Candidate,
        head: Option<i64>,
    ) -> Result<String, Refusal> {
        let id = candidate.id;
        let state = State::of_stored(&candidate.state).ok_or(Refusal::Unreadable { id })?;
        is_a_dead_head(id, state, head)?;
        let about = candidate.about();
        match self {
            Self::Skip { reason } => Ok(format!("{reason} ({about})")),
            Self::Redrive { force } => {
                let redrives = count(candidate.redrives);
                is_not_redriven_too_often(id, redrives, force)?;
                let forced = if force { ", forced" } else { "" };
                Ok(format!("redrive {}{forced} ({about})", redrives + 1))
            }
        }
    }
}

impl Candidate {
    /// Where it was read, and what was wrong: the row may be gone when somebody reads the audit.
    fn about(&self) -> String {
        let Self {
            topic,
            partition,
            record_offset,
            ..
        } = self;
        let class = self.fault_class.as_deref().unwrap_or("no fault");
        let message = self.fault_message.as_deref().unwrap_or("none");
        format!("{topic}[{partition}]@{record_offset}, {class}: {message}")
    }
}

/// An event as it is read for an operator.
#[derive(FromRow)]
pub(super) struct OperatorRow {
    #[sqlx(flatten)]
    row: RetryEventRow,
    state: String,
    stored_at: i64,
    next_attempt_at: Option<i64>,
    age: i64,
    head: Option<i64>,
    behind: i64,
}

impl TryFrom<OperatorRow> for RetryEvent {
    type Error = RetryStoreError;

    fn try_from(row: OperatorRow) -> Result<Self, RetryStoreError> {
        let id = row.row.id;
        let state = State::of_stored(&row.state).ok_or(RetryStoreError::Damaged(id))?;
        let stored = Claimed::try_from(row.row)?;
        Ok(Self {
            id,
            state,
            record: stored.record,
            fault: stored.fault,
            rounds: stored.rounds,
            redrives: stored.redrives,
            stored_at: row.stored_at,
            next_attempt_at: row.next_attempt_at,
            age: Duration::from_millis(u64::try_from(row.age).unwrap_or(0)),
            head: row.head,
            behind: count(row.behind),
        })
    }
}

impl Listing {
    pub(super) fn of(rows: Vec<OperatorRow>) -> Self {
        let mut listing = Self::default();
        for row in rows {
            let id = row.row.id;
            match RetryEvent::try_from(row) {
                Ok(event) => listing.events.push(event),
                Err(_) => listing.damaged.push(id),
            }
        }
        listing
    }
}
