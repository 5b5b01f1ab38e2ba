//! The interface to a service: [`Handler`] receives a [`Delivery`] and answers with success or a classified [`Failure`].

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

use crate::lanes::Lane;
use kafka::record::Record;

/// The error type of handlers.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Handles events.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes the event's effect durable. Must be idempotent: every event may be delivered again.
    ///
    /// # Errors
    /// [`Failure`] says whether a retry can help. A panic counts as a retryable failure, three panics as a rejection.
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure>;
}

/// Why an event was not handled, and the reaction of the consumer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Transient cause (database unreachable): retried with backoff, only this key waits; then moved to the retry store.
    #[error("event is to be retried")]
    Retry(#[source] BoxError),
    /// Permanent cause (undecodable payload): published to the dead-letter topic, and its key is blocked. The error text
    /// becomes a header of the dead letter, so it must not quote the payload.
    #[error("event is rejected")]
    Reject(#[source] BoxError),
    /// No event can be handled any more: the consumer stops with this error.
    #[error("events cannot be handled")]
    Fatal(#[source] BoxError),
}

impl Failure {
    /// [`Failure::Retry`] of any error.
    pub fn retry(cause: impl Into<BoxError>) -> Self {
        Self::Retry(cause.into())
    }

    /// [`Failure::Reject`] of any error.
    pub fn reject(cause: impl Into<BoxError>) -> Self {
        Self::Reject(cause.into())
    }

    /// [`Failure::Fatal`] of any error.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Self::Fatal(cause.into())
    }
}

/// The result of a handler call; the outer error is the payload of a panic.
pub(crate) type Handled = Result<Result<(), Failure>, Box<dyn Any + Send>>;

/// One attempt to handle a record. Dereferences to the record.
#[derive(Clone, Debug)]
pub struct Delivery {
    record: Arc<Record>,
    attempt: u32,
    lane: Arc<Lane>,
}

impl Delivery {
    pub(crate) fn in_lane(record: Arc<Record>, attempt: u32, lane: Arc<Lane>) -> Self {
        Self {
            record,
            attempt,
            lane,
        }
    }

    /// A delivery without a consumer, for tests of handlers: `followers` wait behind it.
    pub fn new(record: Record, attempt: u32, followers: Vec<Record>) -> Self {
        let lane = Arc::new(Lane::default());
        followers
            .into_iter()
            .for_each(|record| lane.push(Arc::new(record)));
        Self::in_lane(Arc::new(record), attempt, lane)
    }

    /// Number of this attempt, from 1, since the broker last delivered the record. Attempts from the retry store count on.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Records of the same key that have arrived and wait for this one, in order. A long-running handler can look here for
    /// events that make its work obsolete, for example a cancellation.
    ///
    /// Empty for a record from the retry store: later events of its key are in the retry store behind it.
    pub fn followers(&self) -> Vec<Arc<Record>> {
        self.lane.waiting()
    }
}

impl Deref for Delivery {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
