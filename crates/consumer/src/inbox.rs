//! The inbox: which events a service has already handled.
//!
//! The row is written in the transaction of the effect. For a redelivered event the row exists, and the handler is a no-op;
//! for an event whose effect was rolled back it does not, and the event is handled again.

use uuid::Uuid;

pub mod postgres;
pub mod sqlite;

/// Whether a test has disabled the inbox, to prove that its audit detects it. With `INBOX=off` in the environment of a
/// build with the feature `crash-points`, every event is new and no row is written. Code that detects duplicates by other
/// means (a sequence, a saga) must check this too.
#[cfg(feature = "crash-points")]
pub fn is_off() -> bool {
    std::env::var_os("INBOX").is_some_and(|value| value == "off")
}

/// `false`: the switch exists only with the feature `crash-points`.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn is_off() -> bool {
    false
}

/// A row of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Id of the event.
    pub event_id: Uuid,
    /// Id of the entity that the event is about: its key.
    pub key: Uuid,
    /// Position among the events of its producer about the same key.
    pub sequence: u64,
}

impl InboxEntry {
    fn stored_sequence(&self) -> i64 {
        i64::try_from(self.sequence).unwrap_or(i64::MAX)
    }
}
