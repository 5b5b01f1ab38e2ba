//! The actions that a relay can take.

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
    Send(OutboxRow),
    Scan(PositionQuery),
    /// Read the rows at these positions.
    Read(Vec<i64>),
    /// Delete these acknowledged rows.
    Delete(Vec<i64>),
    /// Wait until then, for delivery reports, or for a hand-over.
    Rest {
        until: Instant,
        /// Whether a hand-over of rows ends the rest.
        wants_rows: bool,
    },
    /// Release all leases: the relay has stopped.
    Leave,
}

/// The positions to read: at most [`super::SCAN_LIMIT`] of these shards, above `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct PositionQuery {
    pub(in super::super) shards: Vec<Shard>,
    pub(in super::super) after: i64,
}
