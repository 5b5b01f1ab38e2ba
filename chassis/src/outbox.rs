//! The outbox: events that are committed with the state they announce and still have to reach the broker.
//!
//! A row is work: it exists until the broker has acknowledged it, and no cursor decides what was sent. A crash between
//! acknowledgement and deletion therefore sends an event twice, and never loses one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::headers::Headers;

pub mod sqlite;

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
    /// Position in commit order.
    pub seq: i64,
    /// Where to publish it.
    pub topic: String,
    /// The key of the record.
    pub key: String,
    /// The headers of the record.
    pub headers: Headers,
    /// The value of the record.
    pub payload: Vec<u8>,
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
    /// Up to `limit` rows with a position above `after`, in order.
    async fn read(&self, after: i64, limit: u32) -> Result<Vec<OutboxRow>, OutboxError>;

    /// Removes rows that the broker has acknowledged.
    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError>;

    /// How much waits.
    async fn backlog(&self) -> Result<Backlog, OutboxError>;
}

/// The outbox could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database failed.
    #[error("the outbox's database")]
    Database(#[from] sqlx::Error),
    /// A row does not hold what was written.
    #[error("outbox row {seq}")]
    Damaged {
        /// The row.
        seq: i64,
        /// What is wrong with it.
        source: crate::headers::DamagedHeaders,
    },
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
