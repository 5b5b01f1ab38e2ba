//! What the relay holds in memory: per key a queue of events, the head of which is at the broker.
//!
//! Pure: rows, acknowledgements and refusals go in, rows to be sent come out.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blocked::Blocked;
use crate::{OutboxRow, Shard};
use service::backoff::Backoff;

/// Bounds of what is held: a backlog stays in the table.
pub(super) const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Waits before an event that was refused is sent again: most causes pass quickly.
const SEND_AGAIN: Backoff = Backoff {
    initial: Duration::from_millis(250),
    cap: Duration::from_secs(8),
};

/// An event that is refused this often, over some ten seconds, stops its key ([`Blocked`]): the cause will not pass.
const MAX_REFUSALS: u32 = 6;

/// What becomes of a row that was read.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is to be sent now.
    Send(Arc<OutboxRow>),
    /// It waits for the events of its key before it.
    Queued,
    /// It was taken in before.
    Known,
    /// Its key stands still. The row was not taken in.
    PassedOver,
    /// An event of its key stands before it that was not read yet: it was committed late. The row was not taken in.
    Premature {
        /// The position of that event.
        predecessor: i64,
    },
}

/// What becomes of an event that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is sent again after a while.
    SentAgain,
    /// Its key stands still from now on, and begins with this event again.
    KeyStopped {
        /// Whether this event has not stopped it before.
        is_new: bool,
    },
    /// Nothing: the event is not at the broker.
    Unknown,
}

/// The event of a key that is at the broker, or waits to be sent again.
#[derive(Debug)]
struct Head {
    row: Arc<OutboxRow>,
    refusals: u32,
}

/// The events that were read and are not deleted yet.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Per key, in order; the head is at the broker or waits to be sent again.
    queues: HashMap<String, VecDeque<Arc<OutboxRow>>>,
    /// The head of a queue by its position.
    heads: HashMap<i64, Head>,
    /// Every row read and not deleted, so that looking back does not admit one twice.
    known: BTreeMap<i64, Shard>,
    /// How many of them each shard has.
    held: HashMap<Shard, usize>,
    /// Heads that wait to be sent again, the earliest first.
    postponed: BTreeSet<(Instant, i64)>,
    blocked: Blocked,
    bytes: usize,
    closed: bool,
}

impl Window {
    /// Takes a row in, unless that would let it overtake one that was not read.
    pub(super) fn admit(&mut self, row: OutboxRow) -> Admission {
        if self.known.contains_key(&row.seq) {
            return Admission::Known;
        }
        if self.blocked.contains(&row.key) {
            return Admission::PassedOver;
        }
        if let Some(seq) = row.predecessor.filter(|seq| !self.known.contains_key(seq)) {
            return Admission::Premature { predecessor: seq };
        }
        self.known.insert(row.seq, row.shard);
        *self.held.entry(row.shard).or_default() += 1;
        self.bytes += size(&row);
        let row = Arc::new(row);
        let queue = self.queues.entry(row.key.clone()).or_default();
        queue.push_back(Arc::clone(&row));
        if queue.len() > 1 {
            return Admission::Queued;
        }
        self.lead(&row);
        Admission::Send(row)
    }

    /// The broker has this row; the next of its key is returned if there is one.
    pub(super) fn acknowledge(&mut self, seq: i64) -> Option<Arc<OutboxRow>> {
        let row = self.heads.remove(&seq)?.row;
        self.blocked.acquit(seq);
        self.bytes -= size(&row);
        let queue = self.queues.get_mut(&row.key)?;
        queue.pop_front();
        let Some(next) = queue.front().cloned() else {
            self.queues.remove(&row.key);
            return None;
        };
        if self.closed {
            return None;
        }
        self.lead(&next);
        Some(next)
    }

    fn lead(&mut self, row: &Arc<OutboxRow>) {
        // What has stopped its key before gets one attempt.
        let refusals = if self.blocked.is_culprit(row.seq) {
            MAX_REFUSALS - 1
        } else {
            0
        };
        let row = Arc::clone(row);
        self.heads.insert(row.seq, Head { row, refusals });
    }

    /// This row was refused, or nobody knows what became of it.
    pub(super) fn refuse(&mut self, seq: i64, now: Instant) -> Refusal {
        let Some(head) = self.heads.get_mut(&seq) else {
            return Refusal::Unknown;
        };
        head.refusals += 1;
        if head.refusals >= MAX_REFUSALS {
            return self.stop_key(seq, now);
        }
        let at = now + spread(SEND_AGAIN.bound(head.refusals), seq);
        self.postponed.insert((at, seq));
        Refusal::SentAgain
    }

    /// Forgets the queue that this row leads.
    fn stop_key(&mut self, seq: i64, now: Instant) -> Refusal {
        let Some(head) = self.heads.remove(&seq) else {
            return Refusal::Unknown;
        };
        let queue = self.queues.remove(&head.row.key).unwrap_or_default();
        self.bytes -= queue.iter().map(|row| size(row)).sum::<usize>();
        let rows: Vec<i64> = queue.iter().map(|row| row.seq).collect();
        self.forget(&rows);
        let is_new = !self.blocked.is_culprit(seq);
        self.blocked.stop(seq, &head.row.key, now, MAX_ROWS);
        Refusal::KeyStopped { is_new }
    }

    /// Lets keys go on that stood still long enough; `true` if there were any. Then the table must be read from its
    /// beginning, and not before all of it was looked at may anything be read that stands behind.
    pub(super) fn lift_blocks(&mut self, now: Instant) -> bool {
        self.blocked.lift(now)
    }

    /// The rows whose wait is over.
    pub(super) fn due_retries(&mut self, now: Instant) -> Vec<Arc<OutboxRow>> {
        let mut due = Vec::new();
        while self.postponed.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, seq)) = self.postponed.pop_first()
        {
            due.extend(self.heads.get(&seq).map(|head| Arc::clone(&head.row)));
        }
        due
    }

    /// When the next wait is over.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.postponed.first().map(|(at, _)| *at)
    }

    /// These rows are deleted from the table, or are to be read again.
    pub(super) fn forget(&mut self, rows: &[i64]) {
        for seq in rows {
            let Some(shard) = self.known.remove(seq) else {
                continue;
            };
            if let Some(held) = self.held.get_mut(&shard) {
                *held -= 1;
            }
        }
    }

    /// Whether rows of this shard were read and are not deleted yet.
    pub(super) fn holds(&self, shard: Shard) -> bool {
        self.held.get(&shard).is_some_and(|held| *held > 0)
    }

    /// The rows above `after` that need not be read again.
    pub(super) fn known_above(&self, after: i64) -> Vec<i64> {
        let above = self.known.range(after.saturating_add(1)..);
        above.map(|(seq, _)| *seq).collect()
    }

    /// Sends nothing more: what waits stays in the table.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, seq) in std::mem::take(&mut self.postponed) {
            self.heads.remove(&seq);
        }
    }

    /// How many keys stand still.
    pub(super) fn blocked_keys(&self) -> usize {
        self.blocked.len()
    }

    /// Whether rows are at the broker.
    pub(super) fn is_sending(&self) -> bool {
        self.heads.len() > self.postponed.len()
    }

    /// How many rows are held.
    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.known.len() + self.blocked.len()
    }

    /// Whether no more rows should be read. Keys that stand still count, so that their number is bounded too.
    pub(super) fn is_full(&self) -> bool {
        self.known.len() + self.blocked.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }
}

fn size(row: &OutboxRow) -> usize {
    let headers = row.headers.as_deref().unwrap_or_default();
    let headers: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    row.payload.len() + row.key.len() + headers
}

/// A wait between half of the bound and all of it, so that events that were refused together come back apart. Taken from
/// the position instead of by chance: what the window does depends on nothing but what goes in.
fn spread(bound: Duration, seq: i64) -> Duration {
    // Neighbours come far apart: the multiplier is coprime to the number of steps.
    let step = (seq.unsigned_abs() % 1_000) * 617 % 1_000;
    let part = u32::try_from(step).unwrap_or(0);
    bound / 2 + bound / 2 * part / 1_000
}

#[cfg(test)]
mod tests;
