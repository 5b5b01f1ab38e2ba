//! The retry store: a database table of events that could not be handled, in the order of their keys.
//!
//! ```text
//!            in memory              the key is blocked                   dead letter published
//!  event ──▶ attempts ──exhausted─▶ WAITING ──sweeper, three rounds───▶ DEAD ──operator──▶ redriven: WAITING again
//!               │                     │  ▲                              ▲   └────────────▶ SKIPPED, with a reason
//!               │ cannot succeed      │  └ every later event of the key │
//!               └─────────────────────┼─────────────────────────────────┘
//!                                     ▼ handled: the row is deleted, the next of its key is the head
//! ```
//!
//! * **A key with events in the retry store is blocked**: every later event of the key is stored behind them. None overtakes.
//! * **Only the head of a key is handled**, by one sweeper at a time ([`RetryStore::claim`]).
//! * **The rows are the block.** A key is free when its last row is handled or skipped.
//! * **An event is stored before its offset is complete**, and its dead letter is published before it is stored as DEAD. Only
//!   a dead letter that the broker refuses permanently is not published ([`FaultClass::Unpublished`]).
//! * Handlers are idempotent. Therefore an expired claim, or a second delivery of a stored event, is harmless.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use kafka::record::Record;
use sql::group_commit::SubmitError;

pub mod database;
pub mod operations;
pub mod watch;

mod add;
mod attempt_counts;
mod connection;
mod operate;
mod row;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition, from 0.
    pub partition: i32,
}

/// The state of a partition at the begin of a partition session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStart {
    /// The keys with events in the retry store.
    pub blocked: BlockedKeySet,
    /// Whether the previous session did not end cleanly: one of its records may have killed its process.
    pub after_a_crash: bool,
}

/// The blocked keys of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedKeySet {
    /// All of them.
    Keys(Vec<Vec<u8>>),
    /// More than [`MAX_BLOCKED_KEYS`]: each key has to be queried.
    TooMany,
}

/// Blocked keys that a partition session keeps in memory: with keys of 36 bytes some 5 MB.
pub const MAX_BLOCKED_KEYS: usize = 50_000;

/// Why an event could not be handled, for the operator and for the headers of the dead letter. Contains no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind of the failure.
    pub class: FaultClass,
    /// The error chain as text, at most 1 KiB.
    pub message: String,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When the first attempt failed, in unix milliseconds.
    pub first_failed_at: i64,
    /// When the last attempt failed, in unix milliseconds.
    pub last_failed_at: i64,
}

/// Kinds of failures. Their names are persisted and published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The handler answered [`crate::Failure::Reject`].
    Rejected,
    /// Retryable failures: the retry time in memory is spent, or all rounds of the retry store.
    RetriesSpent,
    /// The handler panicked three times.
    Panicked,
    /// A poison pill: the process died while the event was in flight.
    KilledTheProcess,
    /// As one of the others, but the broker refuses its dead letter permanently: the event is only in the retry store.
    Unpublished,
}

/// The state in which an event is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryState {
    /// Retried when it is due and the head of its key.
    Waiting {
        /// Delay until the next attempt.
        retry_after: Duration,
    },
    /// On the dead-letter topic, unless its class is [`FaultClass::Unpublished`]; waits for an operator.
    Dead,
}

impl RetryState {
    /// Waiting, and due as soon as it is the head of its key.
    pub(crate) const DUE: Self = Self::Waiting {
        retry_after: Duration::ZERO,
    };
}

/// Whether a key is blocked, as answered for one of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// No event of the key is in the retry store: the event is to be handled.
    Free,
    /// The event is in the retry store: behind others of its key, or since an earlier delivery.
    Blocked,
}

/// An event claimed by a sweeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Id of the row.
    pub id: i64,
    /// The record as it was consumed.
    pub record: Record,
    /// The last failure; `None` for an event that only waited behind others.
    pub fault: Option<Fault>,
    /// Failed rounds of the sweeper since it was stored or redriven.
    pub rounds: u32,
    /// Redrives by an operator.
    pub redrives: u32,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Handled: the row is deleted.
    Handled,
    /// Failed: the row gets this fault and state.
    Failed(Fault, RetryState),
    /// Not attempted: the claim is removed.
    Released,
}

/// The retry store as a consumer uses it. All calls are idempotent.
///
/// Errors of all calls: [`RetryStoreError`] when the database fails; the call may then have taken effect.
#[async_trait]
pub trait RetryStore: Send + Sync + 'static {
    /// Begins a partition session of `owner`. Until [`RetryStore::end_session`], the next session starts after a crash.
    async fn begin_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<SessionStart, RetryStoreError>;

    /// Ends the session cleanly; no-op if another owner has begun since.
    async fn end_session(
        &self,
        partition: &TopicPartition,
        owner: Uuid,
    ) -> Result<(), RetryStoreError>;

    /// Counts an attempt at a record before it is made; returns the count including this one. A count that is never
    /// removed by [`RetryStore::forget_attempts`] is a process that died in the attempt.
    async fn count_attempt(&self, record: &Record) -> Result<u32, RetryStoreError>;

    /// Removes the count: the attempt at this record has ended, with any result.
    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError>;

    /// Stores an event, which blocks its key. No-op for an event that is stored already.
    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError>;

    /// Stores an event behind others of its key; no-op if the key is free.
    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError>;

    /// Claims up to `limit` due events of a topic: heads of their keys, waiting, without a current claim. A claim ends with
    /// [`RetryStore::settle`], or after `term`.
    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError>;

    /// Ends a claim. No-op if the claim was taken over.
    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError>;
}

/// The retry store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RetryStoreError {
    /// The database failed.
    #[error("retry store query failed")]
    Database(#[from] sqlx::Error),
    /// The attempt count could not be written.
    #[error("attempt count not written")]
    Count(#[from] SubmitError<sqlx::Error>),
    /// The row with this id is not readable by this release.
    #[error("retry event {0} is damaged")]
    Damaged(i64),
}

/// Longest key whose order is kept, in bytes: databases do not index much longer ones. A record with a longer key is treated
/// like one without a key.
pub const MAX_KEY: usize = 256;

/// The key of the record, if its order is kept.
pub fn ordering_key(record: &Record) -> Option<&[u8]> {
    record.key.as_deref().filter(|key| key.len() <= MAX_KEY)
}

impl FaultClass {
    /// All classes.
    pub const ALL: [Self; 5] = [
        Self::Rejected,
        Self::RetriesSpent,
        Self::Panicked,
        Self::KilledTheProcess,
        Self::Unpublished,
    ];

    /// The persisted and published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::RetriesSpent => "retries-spent",
            Self::Panicked => "panicked",
            Self::KilledTheProcess => "killed-the-process",
            Self::Unpublished => "unpublished",
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}
