//! The outbox as the writer and the relay see it.
//!
//! A row is work: it exists until the broker has acknowledged it. No cursor decides which rows were sent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::shard::Shard;
use kafka::headers::{self, DamagedHeaders, Headers};

/// An event to be written with the state it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecord {
    /// The Kafka topic to publish to. It must exist: the relay creates none.
    /// Without the prefix of the installation, which the relay adds.
    pub topic: Cow<'static, str>,
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
    /// Position of the preceding event of the same key, if that event was still in the outbox. Known only where rows can
    /// become visible out of sequence ([`Outbox::has_other_writers`]).
    pub predecessor: Option<i64>,
    /// The record to publish.
    pub record: Arc<OutboxRecord>,
    /// Set if the stored headers cannot be decoded: `record` has none then. Such a row blocks its own key only.
    pub damaged: Option<DamagedHeaders>,
}

impl OutboxRow {
    /// Bytes of key, headers and payload.
    pub(crate) fn size(&self) -> usize {
        let OutboxRecord {
            key,
            headers,
            payload,
            ..
        } = self.record.as_ref();
        payload.len() + key.len() + headers::size(headers)
    }
}

/// Number and age of the events that wait for the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Number of rows, counted up to the caller's limit.
    pub rows: u64,
    /// Age of the oldest row that waits for its turn; zero when there is none. The rows of up to [`BLOCKED_APART`] blocked
    /// keys do not count: they say nothing about others.
    pub oldest: Duration,
}

/// Number of blocked keys whose rows do not count for [`Backlog::oldest`]. Those of more do: what refuses so many events
/// will refuse others too.
pub const BLOCKED_APART: u32 = 100;

/// The relay's view of an outbox table.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// The positions of up to `limit` rows of these shards above `after`, ascending. An implementation with one relay may
    /// ignore `shards`.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails.
    async fn positions(
        &self,
        shards: &[Shard],
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, OutboxError>;

    /// The rows at these positions, as far as they exist, in order.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails.
    async fn read(&self, positions: &[i64]) -> Result<Vec<OutboxRow>, OutboxError>;

    /// Deletes rows that the broker has acknowledged. No-op for rows that are already deleted.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the rows may be deleted or not.
    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError>;

    /// Notes that these rows block their keys, for [`Outbox::backlog`] of every replica. Rows that are noted keep their time.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the relay notes the rows again with their next failed attempt.
    async fn note_blocked(&self, rows: &[i64]) -> Result<(), OutboxError>;

    /// The backlog, counted up to `at_most` rows so that the query stays cheap during a long outage.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails.
    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError>;

    /// Whether other processes, or several transactions at once, write to this outbox. Then a row can become
    /// visible below a position that was already read. Otherwise positions are in the order of the commits, without gaps.
    fn has_other_writers(&self) -> bool;
}

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the outbox's database")]
    Database(#[from] sqlx::Error),
}
