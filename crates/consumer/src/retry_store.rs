//! RetryStore: events that could not be handled are kept in the database, in the order of their key, until they can be.
//!
//! ```text
//!            in place, a while      parked: the key is fenced            given up: a dead letter
//!  event ──▶ attempts ──spent─────▶ WAITING ──sweeper, some rounds────▶ DEAD ──operator──▶ redriven: WAITING again
//!               │                     │  ▲                              ▲   └────────────▶ SKIPPED, with a reason
//!               │ cannot succeed      │  └ every later event of the key │
//!               └─────────────────────┼─────────────────────────────────┘
//!                                     ▼ handled: the row goes, the next of its key is the head
//! ```
//!
//! * **A key with a parked event is fenced**: what comes later for it is parked behind, whatever it is. Nothing overtakes.
//! * **Only the head of a key is handled**, by one sweeper at a time ([`RetryStore::claim`]).
//! * **The fence is the rows.** It is gone with the last row of its key that is neither handled nor skipped.
//! * **An event is parked before its offset counts as done**, and a dead letter is published before it is parked as one.
//! * Handlers are idempotent. That is what makes a claim that ran out, or a row that is found twice, harmless.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use kafka::record::Record;

pub mod database;
pub mod operations;
pub mod postgres;
pub mod sqlite;

pub(crate) mod observed;
pub mod watch;

mod blocked;
mod row;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
}

/// What stands about a partition when a consumer begins to work on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The keys that have parked events.
    pub blocked: BlockedKeySet,
    /// Whether whoever worked on it before has not ended in order: it may have been killed by one of its records.
    pub after_a_crash: bool,
}

/// Which keys of a partition are fenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedKeySet {
    /// These.
    Keys(Vec<Vec<u8>>),
    /// More than are worth keeping in memory: each key has to be looked up.
    TooMany,
}

/// Most fenced keys of a partition that a consumer keeps in memory.
pub const MAX_BLOCKED_KEYS: usize = 50_000;

/// Why an event could not be handled: for the operator and for the dead letter's headers. Holds no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it was.
    pub class: FaultClass,
    /// The chain of errors, as text for a person; bounded.
    pub message: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When the first attempt failed, in unix milliseconds.
    pub first_failed_at: i64,
    /// When the last attempt failed, in unix milliseconds.
    pub last_failed_at: i64,
}

/// Kinds of failures. The names are part of what is stored and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The handler says that it can never succeed.
    Rejected,
    /// The handler failed again and again, with something that could have passed.
    RetriesSpent,
    /// The handler panicked.
    Panicked,
    /// The process ended while it was handled, more than once.
    KilledTheProcess,
}

/// In which state an event is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryState {
    /// It is handled again, not before this much time has passed and not before it is the head of its key.
    Waiting {
        /// Time to the next attempt.
        retry_after: Duration,
    },
    /// It is on the dead-letter topic and waits for an operator.
    Dead,
}

/// What became of an event whose key might be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key is not fenced: the event is to be handled.
    Free,
    /// The event is parked behind others of its key, or was parked before.
    Blocked,
}

/// An event that a sweeper has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Identity of the row.
    pub id: i64,
    /// The record as it was consumed.
    pub record: Record,
    /// What was wrong with it, unless it only waited behind others.
    pub fault: Option<Fault>,
    /// Rounds of the sweeper so far, since it was parked or redriven.
    pub rounds: u32,
    /// How often an operator has redriven it.
    pub redrives: u32,
}

/// What became of a claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was handled: the row goes.
    Handled,
    /// It failed, or it has to come again.
    Failed(Fault, RetryState),
    /// It was not tried.
    Released,
}

/// Where a consumer parks events. All calls are idempotent; none may lose an event.
#[async_trait]
pub trait RetryStore: Send + Sync + 'static {
    /// `owner` begins to work on a partition. Until it has called [`RetryStore::end`], the next to begin is told of a crash.
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, RetryStoreError>;

    /// `owner` has ended in order; nothing, if another has begun since.
    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), RetryStoreError>;

    /// Notes an attempt at a record before it is made, and returns how many were noted, this one included. An attempt
    /// that is noted and never forgotten is one that the process did not survive.
    async fn note_attempt(&self, record: &Record) -> Result<u32, RetryStoreError>;

    /// The attempt at this record ended, whichever way.
    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError>;

    /// Stores an event, and with it fences its key. One that is parked already stays as it is.
    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError>;

    /// Stores an event behind those of its key, if there are any.
    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError>;

    /// Claims up to `limit` events of a topic that are due: heads of their keys, waiting, claimed by nobody else. A claim
    /// ends by [`RetryStore::settle`], or after `term`.
    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError>;

    /// Ends a claim. Nothing, if the claim is no longer the claimant's.
    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError>;
}

/// RetryState events could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RetryStoreError {
    /// The database failed.
    #[error("the database of parked events")]
    Database(#[from] sqlx::Error),
    /// A row does not hold what was written.
    #[error("parked event {0} is damaged")]
    Damaged(i64),
}

/// Longest key that has an order to keep. No sender of ours comes near it, and databases do not index much longer ones: a
/// record with a longer key is handled, and set aside, like one without.
pub const MAX_KEY: usize = 256;

/// The key whose order is kept, if the record has one.
pub fn ordering_key(record: &Record) -> Option<&[u8]> {
    record.key.as_deref().filter(|key| key.len() <= MAX_KEY)
}

impl FaultClass {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Rejected,
        Self::RetriesSpent,
        Self::Panicked,
        Self::KilledTheProcess,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesSpent => "retries-spent",
            Self::Panicked => "panicked",
            Self::KilledTheProcess => "killed-the-process",
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}
