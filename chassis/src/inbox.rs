//! The inbox: which events a service has already acted upon.
//!
//! Its row is written in the transaction of the effect. A redelivered event finds it and changes nothing; an event
//! whose effect was rolled back does not, and is handled again.

use uuid::Uuid;

pub mod postgres;
pub mod sqlite;

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
