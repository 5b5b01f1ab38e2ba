//! The actions that a relay can take.

use std::sync::Arc;

use tokio::time::Instant;

use crate::outbox::OutboxRow;
use crate::shard::Shard;

/// The next thing to do.
#[derive(Debug)]
pub(in super::super) enum Action {
    /// Renew the leases.
    Renew,
    /// Release these surplus shards: none of their rows is in the window.
    Release(Vec<Shard>),
    /// Hand this event to the producer now: its lease was checked for this instant.
    Send(Arc<OutboxRow>),
    Read(RowQuery),
    /// Delete these acknowledged rows.
    Delete(Vec<i64>),
    /// Wait until then, for delivery reports, or for a signal.
    Rest {
        until: Instant,
        /// Whether a signal of new rows ends the rest.
        wants_rows: bool,
    },
    /// Release all leases: the relay has stopped.
    Leave,
}

/// The rows to read: at most [`super::READ_LIMIT`] of these shards, above `after` and not in `except`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct RowQuery {
    pub(in super::super) shards: Vec<Shard>,
    pub(in super::super) after: i64,
    pub(in super::super) except: Vec<i64>,
}
