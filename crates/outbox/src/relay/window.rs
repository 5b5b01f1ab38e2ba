//! The relay's window: per key a queue of events, the head of which is in flight.
//!
//! Pure: rows, acknowledgements and publish failures go in, rows to be sent come out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::blocked::Blocked;
use crate::outbox::OutboxRow;
use crate::shard::Shard;
use service::backoff::Backoff;

/// Bounds of the window, in rows and bytes: the rest of a backlog stays in the table.
pub(super) const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Number of deleted rows that are remembered, for rows that are handed over after they were read and published, and as
/// predecessors: more than are deleted while a commit is being handed over.
const MAX_DELETED: usize = 10_000;

/// Waits before a failed event is sent again: most causes are transient.
const RETRY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(250),
    cap: Duration::from_secs(8),
};

/// An event that fails this often, over some ten seconds, blocks its key ([`Blocked`]): the cause is not transient.
const MAX_ATTEMPTS: u32 = 6;

/// The place of a row that was read or handed over.
#[derive(Debug)]
pub(super) enum WindowSlot {
    /// Head of its key: send it now.
    Send(OutboxRow),
    /// Behind earlier events of its key.
    Queued,
    /// Already in the window.
    Known,
    /// Not admitted: its key is blocked.
    KeyBlocked,
    /// Not admitted: an earlier event of its key was committed late and not read yet.
    Premature {
        /// The position of that event.
        predecessor: i64,
    },
}

/// The consequence of a failed publish attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PublishFailure {
    RetryScheduled,
    /// The key is blocked from now on; its next retry begins with this event.
    KeyBlocked {
        key: String,
        /// Whether this event blocks its key for the first time.
        is_new: bool,
    },
    NotInFlight,
}

/// The head event of a key: in flight, or waiting for a retry.
#[derive(Debug)]
struct Head {
    row: OutboxRow,
    failures: u32,
}

/// The rows that were read or handed over, and are not deleted yet.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Per key, in order; the first is the head.
    queues: HashMap<String, VecDeque<OutboxRow>>,
    /// The head of each queue, by position.
    heads: HashMap<i64, Head>,
    /// All rows, so that an overlapping read does not admit one twice.
    known: BTreeMap<i64, Shard>,
    /// The rows that were deleted last.
    deleted: BTreeSet<i64>,
    /// The highest position that is no longer remembered as deleted.
    forgotten: i64,
    /// Number of rows per shard.
    held: HashMap<Shard, usize>,
    /// Heads that wait for a retry, the earliest first.
    retries: BTreeSet<(Instant, i64)>,
    blocked: Blocked,
    bytes: usize,
    closed: bool,
}

impl Window {
    /// Admits a row, unless that would let it overtake an event that was not read.
    pub(super) fn admit(&mut self, row: OutboxRow) -> WindowSlot {
        if self.knows(row.seq) {
            return WindowSlot::Known;
        }
        if self.blocked.contains(&row.record.key) {
            return WindowSlot::KeyBlocked;
        }
        if let Some(seq) = row.predecessor.filter(|seq| !self.knows(*seq)) {
            return WindowSlot::Premature { predecessor: seq };
        }
        self.known.insert(row.seq, row.shard);
        *self.held.entry(row.shard).or_default() += 1;
        self.bytes += row.size();
        let queue = self.queues.entry(row.record.key.clone()).or_default();
        queue.push_back(row.clone());
        if queue.len() > 1 {
            return WindowSlot::Queued;
        }
        self.lead(&row);
        WindowSlot::Send(row)
    }

    /// The broker has this row. Returns the next row of its key to be sent, if there is one.
    pub(super) fn acknowledge(&mut self, seq: i64) -> Option<OutboxRow> {
        let row = self.heads.remove(&seq)?.row;
        self.blocked.published(seq);
        self.bytes -= row.size();
        let queue = self.queues.get_mut(&row.record.key)?;
        queue.pop_front();
        let Some(next) = queue.front().cloned() else {
            self.queues.remove(&row.record.key);
            return None;
        };
        if self.closed {
            return None;
        }
        self.lead(&next);
        Some(next)
    }

    fn lead(&mut self, row: &OutboxRow) {
        // An event that has blocked its key before gets one attempt.
        let failures = if self.blocked.has_blocked(row.seq) {
            MAX_ATTEMPTS - 1
        } else {
            0
        };
        let row = row.clone();
        self.heads.insert(row.seq, Head { row, failures });
    }

    /// The publish attempt of this row failed, or its outcome is unknown.
    pub(super) fn publish_failed(&mut self, seq: i64, now: Instant) -> PublishFailure {
        let Some(head) = self.heads.get_mut(&seq) else {
            return PublishFailure::NotInFlight;
        };
        head.failures += 1;
        if head.failures >= MAX_ATTEMPTS {
            return self.block_key(seq, now);
        }
        let at = now + spread(RETRY_BACKOFF.bound(head.failures), seq);
        self.retries.insert((at, seq));
        PublishFailure::RetryScheduled
    }

    /// Drops the queue of this head from memory.
    fn block_key(&mut self, seq: i64, now: Instant) -> PublishFailure {
        let Some(head) = self.heads.remove(&seq) else {
            return PublishFailure::NotInFlight;
        };
        let queue = self.queues.remove(&head.row.record.key).unwrap_or_default();
        self.bytes -= queue.iter().map(OutboxRow::size).sum::<usize>();
        let rows: Vec<i64> = queue.iter().map(|row| row.seq).collect();
        self.forget(&rows);
        let is_new = !self.blocked.has_blocked(seq);
        let key = head.row.record.key.clone();
        self.blocked.block(seq, &key, now, MAX_ROWS);
        PublishFailure::KeyBlocked { key, is_new }
    }

    /// Unblocks the keys whose time is over; `true` if there were any. Then the caller must restart reading at the beginning
    /// of the table, so that no later row of such a key is read before its first.
    pub(super) fn lift_blocks(&mut self, now: Instant) -> bool {
        self.blocked.lift(now)
    }

    /// The rows whose retry is due.
    pub(super) fn due_retries(&mut self, now: Instant) -> Vec<OutboxRow> {
        let mut due = Vec::new();
        while self.retries.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, seq)) = self.retries.pop_first()
        {
            due.extend(self.heads.get(&seq).map(|head| head.row.clone()));
        }
        due
    }

    /// When the next retry is due.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// These rows are deleted from the table.
    pub(super) fn deleted(&mut self, rows: &[i64]) {
        self.forget(rows);
        self.deleted.extend(rows);
        while self.deleted.len() > MAX_DELETED {
            let lowest = self.deleted.pop_first().unwrap_or(0);
            self.forgotten = self.forgotten.max(lowest);
        }
    }

    /// Whether this row is in the window, or was and is deleted.
    pub(super) fn knows(&self, seq: i64) -> bool {
        self.known.contains_key(&seq) || self.deleted.contains(&seq)
    }

    /// Whether this row, of which nothing is known, may have been in the window: only the table tells.
    pub(super) fn may_have_deleted(&self, seq: i64) -> bool {
        seq <= self.forgotten
    }

    /// Drops rows from memory.
    fn forget(&mut self, rows: &[i64]) {
        for seq in rows {
            let Some(shard) = self.known.remove(seq) else {
                continue;
            };
            if let Some(held) = self.held.get_mut(&shard) {
                *held -= 1;
            }
        }
    }

    /// Whether rows of this shard are in the window.
    pub(super) fn holds(&self, shard: Shard) -> bool {
        self.held.get(&shard).is_some_and(|held| *held > 0)
    }

    /// Ends sending: rows that wait stay in the table.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, seq) in std::mem::take(&mut self.retries) {
            self.heads.remove(&seq);
        }
    }

    pub(super) fn blocked_keys(&self) -> usize {
        self.blocked.len()
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.heads.len() > self.retries.len()
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.known.len() + self.blocked.len()
    }

    /// Whether no more rows should be read. Blocked keys count, so that their number is bounded too.
    pub(super) fn is_full(&self) -> bool {
        self.known.len() + self.blocked.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }
}

/// A wait between half of the bound and all of it, so that events that failed together are retried at different times.
/// Derived from the position instead of a random number: the window depends on nothing but its inputs.
fn spread(bound: Duration, seq: i64) -> Duration {
    // Neighbours get distant steps: the multiplier is coprime to the number of steps.
    let step = (seq.unsigned_abs() % 1_000) * 617 % 1_000;
    let part = u32::try_from(step).unwrap_or(0);
    bound / 2 + bound / 2 * part / 1_000
}

#[cfg(test)]
mod tests;
