//! The inbox: which events a service has already acted upon.
//!
//! Its row is written in the transaction of the effect. A redelivered event finds it and changes nothing; an event
//! whose effect was rolled back does not, and is handled again.

use uuid::Uuid;

pub mod postgres;
pub mod sqlite;

/// Whether a test has switched this memory off, to see that its audit notices. With `INBOX=off` in the environment of a
/// build with the feature `crash-points`, every event is new and none is remembered; whoever keeps the memory in another
/// form too (a sequence, a saga) asks here and forgets as well.
#[cfg(feature = "crash-points")]
pub fn is_off() -> bool {
    std::env::var_os("INBOX").is_some_and(|value| value == "off")
}

/// Never: the switch is for tests only.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn is_off() -> bool {
    false
}

/// An event as the inbox remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Identity of the event.
    pub event_id: Uuid,
    /// What the event is about: its key.
    pub key: Uuid,
    /// Its position among its sender's events about the same key.
    pub sequence: u64,
}
