//! The outbox: events that are committed with the state they announce and still have to reach the broker.
//!
//! A row is work: it exists until the broker has acknowledged it, and no cursor decides what was sent. A crash between
//! acknowledgement and deletion therefore sends an event twice, and never loses one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use kafka::headers::{DamagedHeaders, Headers};

pub mod database;
pub mod lease;
pub mod postgres;
pub mod relay;
pub mod sqlite;

pub(crate) mod observed;
pub mod watch;

/// An event to be written with the state it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Where to publish it.
    pub topic: &'static str,
    /// Events of one key are published in the order in which they were written.
    pub key: String,
    /// Headers of the record, trace context included; the relay sends them as they are.
    pub headers: Headers,
    /// Value of the record.
    pub payload: Vec<u8>,
}

/// An event that waits for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Position: of two events of one key, the later has the higher one.
    pub seq: i64,
    /// The part of the outbox that it belongs to.
    pub shard: Shard,
    /// Position of the event of the same key that stands directly before it in the outbox, if one does. Known only where
    /// rows can become visible out of sequence ([`Outbox::has_other_writers`]).
    pub predecessor: Option<i64>,
    /// Where to publish it.
    pub topic: String,
    /// The key of the record.
    pub key: String,
    /// The headers of the record, unless the row does not hold what was written. Such a row is nobody else's trouble: only
    /// the events of its key wait behind it.
    pub headers: Result<Headers, DamagedHeaders>,
    /// The value of the record.
    pub payload: Vec<u8>,
}

/// A part of the outbox. All events of one key are in the same, so that one relay at a time publishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(i16);

impl Shard {
    /// How many there are: enough to be divided evenly among any sensible number of replicas. The number is part of what
    /// is stored, it cannot be changed while rows wait.
    pub const COUNT: i16 = 32;

    /// The shard of a key. The hash (FNV-1a, 32 bits) is part of what is stored: releases must agree on it.
    pub fn of(key: &str) -> Self {
        let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        // FNV's low bits are its weakest: the high ones are folded in.
        let folded = (hash ^ (hash >> 16)) % u32::from(Self::COUNT.unsigned_abs());
        Self(i16::try_from(folded).unwrap_or(0))
    }

    /// The shard of this number.
    pub fn numbered(number: i16) -> Self {
        Self(number)
    }

    /// Its number, from 0.
    pub fn number(self) -> i16 {
        self.0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }
}

/// What waits for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Number of rows.
    pub rows: u64,
    /// How long the oldest has waited; zero when there is none.
    pub oldest: Duration,
}

/// The relay's view of an outbox.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Up to `limit` rows of these shards with a position above `after`, in order, without those at the positions
    /// `except`.
    async fn read(
        &self,
        shards: &[Shard],
        after: i64,
        except: &[i64],
        limit: u32,
    ) -> Result<Vec<OutboxRow>, OutboxError>;

    /// Removes rows that the broker has acknowledged.
    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError>;

    /// How much waits, counted up to `at_most`: a long outage must not make looking at it expensive.
    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError>;

    /// Whether other processes, or several transactions at once, write to it: then no signal tells of their rows, and a
    /// row can become visible below a position that was already read.
    fn has_other_writers(&self) -> bool;
}

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the outbox's database")]
    Database(#[from] sqlx::Error),
}

/// Wakes the relay after a commit that wrote outbox rows, so that an event leaves without waiting for a poll.
#[derive(Clone, Debug, Default)]
pub struct OutboxSignal(Arc<Notify>);

impl OutboxSignal {
    /// Something was committed.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Completes once something was committed since the last call.
    pub(crate) async fn notified(&self) {
        self.0.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn keys_are_spread_evenly_over_all_shards() {
        let mut keys_of: HashMap<Shard, u32> = HashMap::new();
        for number in 0..32_000_u32 {
            let key = uuid::Uuid::from_u128(u128::from(number) << 64).to_string();
            *keys_of.entry(Shard::of(&key)).or_default() += 1;
        }

        assert_eq!(keys_of.len(), 32);
        assert!(
            keys_of.values().all(|keys| (700..1_300).contains(keys)),
            "{keys_of:?}"
        );
    }

    #[test]
    fn the_shard_of_a_key_is_the_same_in_every_release() {
        let shards =
            ["", "a", "018f3c2e-0000-7000-8000-000000000000"].map(|key| Shard::of(key).number());
        assert_eq!(shards, [25, 0, 1]);
    }
}
