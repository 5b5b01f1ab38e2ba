//! The outbox as the writer and the relay see it.
//!
//! A row is work: it exists until the broker has acknowledged it. No cursor decides which rows were sent.

use std::time::Duration;

use async_trait::async_trait;

use crate::shard::Shard;
use kafka::headers::{DamagedHeaders, Headers};

/// An event to be written with the state it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// The Kafka topic to publish to. It must exist: the relay creates none.
    /// Without the prefix of the installation, which the relay adds.
    pub topic: &'static str,
    /// The key of the Kafka record. Events of one key are published in the order in which they were written.
    pub key: String,
    /// The headers of the Kafka record, trace context included. The relay sends them unchanged.
    pub headers: Headers,
    /// The value of the Kafka record.
    pub payload: Vec<u8>,
}

/// An event that waits for the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Position: of two events of one key, the later has the higher one.
    pub seq: i64,
    /// The shard of the key.
    pub shard: Shard,
    /// Position of the preceding event of the same key, if that event is still in the outbox. Known only where rows can
    /// become visible out of sequence ([`Outbox::has_other_writers`]).
    pub predecessor: Option<i64>,
    /// The topic to publish to.
    pub topic: String,
    /// The key of the Kafka record.
    pub key: String,
    /// The headers of the Kafka record; an error if the column cannot be decoded. Such a row blocks its own key only.
    pub headers: Result<Headers, DamagedHeaders>,
    /// The value of the Kafka record.
    pub payload: Vec<u8>,
}

/// Number and age of the events that wait for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Number of rows, counted up to the caller's limit.
    pub rows: u64,
    /// Age of the oldest row; zero when there is none.
    pub oldest: Duration,
}

/// The relay's view of an outbox table.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Up to `limit` rows of these shards with a position above `after`, in order, without those at the positions
    /// `except`. An implementation with one writer may ignore `shards` and `except`.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails.
    async fn read(
        &self,
        shards: &[Shard],
        after: i64,
        except: &[i64],
        limit: u32,
    ) -> Result<Vec<OutboxRow>, OutboxError>;

    /// Deletes rows that the broker has acknowledged. No-op for rows that are already deleted.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the rows may be deleted or not.
    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError>;

    /// The backlog, counted up to `at_most` rows so that the query stays cheap during a long outage.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails.
    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError>;

    /// Whether other processes, or several transactions at once, write to this outbox. Then the relay gets no signal for
    /// their rows, and a row can become visible below a position that was already read.
    fn has_other_writers(&self) -> bool;
}

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the outbox's database")]
    Database(#[from] sqlx::Error),
}
