//! The hand-over of committed rows from the writers of a process to its relay, in memory.
//!
//! ```text
//! writer: insert ──▶ InsertedRows ──commit──▶ HandOver::committed ──wakes──▶ relay: publishes without reading the table
//! ```
//!
//! Nothing depends on it but latency and load. A row that is not handed over (its process died, the result of its commit
//! is unknown, the queue is full) is in the table, where a relay finds it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::outbox::{OutboxRecord, OutboxRow};
use crate::shard::Shard;

/// Bounds of the queue. It fills while the relay waits for the database or the broker: half a second of rows at 10,000 rows
/// per second.
const MAX_ROWS: usize = 5_000;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The columns that an insert returns: position, key, and the position of the preceding row of the same key that was in the
/// outbox before the statement.
pub type ReturnedRow = (i64, String, Option<i64>);

/// The records of one insert, kept until the database has returned their positions.
#[derive(Debug)]
pub struct PendingRows {
    began: Instant,
    records: Vec<Arc<OutboxRecord>>,
}

impl PendingRows {
    /// Call this before the insert is sent.
    pub fn new(records: impl IntoIterator<Item = Arc<OutboxRecord>>) -> Self {
        Self {
            began: Instant::now(),
            records: records.into_iter().collect(),
        }
    }

    /// The rows that the insert returned, in any order. They are matched by key, so a record that was not inserted has none;
    /// records of one key have ascending positions.
    pub fn inserted(self, mut returned: Vec<ReturnedRow>) -> InsertedRows {
        returned.sort_unstable_by_key(|(seq, ..)| *seq);
        let mut by_key: HashMap<&str, VecDeque<(i64, Option<i64>)>> = HashMap::new();
        for (seq, key, predecessor) in &returned {
            let rows = by_key.entry(key).or_default();
            // The statement does not see its own rows.
            let predecessor = rows
                .back()
                .map_or(*predecessor, |(earlier, _)| Some(*earlier));
            rows.push_back((*seq, predecessor));
        }
        let row = |record: Arc<OutboxRecord>| {
            let (seq, predecessor) = by_key.get_mut(record.key.as_str())?.pop_front()?;
            Some(OutboxRow {
                seq,
                shard: Shard::of(&record.key),
                predecessor,
                record,
                damaged: None,
            })
        };
        InsertedRows {
            began: self.began,
            rows: self.records.into_iter().filter_map(row).collect(),
        }
    }
}

/// The rows of a transaction: for [`HandOver::committed`] after its commit, to be dropped after a rollback.
#[derive(Debug)]
pub struct InsertedRows {
    /// A time before the commit.
    pub(crate) began: Instant,
    pub(crate) rows: Vec<OutboxRow>,
}

impl InsertedRows {
    /// The rows, in the order of their records.
    pub fn rows(&self) -> &[OutboxRow] {
        &self.rows
    }
}

/// The queue of one relay; clones share it.
#[derive(Clone, Debug, Default)]
pub struct HandOver(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Debug)]
struct Queue {
    max_rows: usize,
    rows: VecDeque<CommittedRow>,
    bytes: usize,
    /// The lowest position that did not fit. Until the relay knows, further rows are dropped as well: it will read them with
    /// the others.
    dropped: Option<i64>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_rows: MAX_ROWS,
            rows: VecDeque::new(),
            bytes: 0,
            dropped: None,
        }
    }
}

/// A row that was handed over.
#[derive(Debug)]
pub(crate) struct CommittedRow {
    pub(crate) row: OutboxRow,
    /// A time before its commit.
    pub(crate) began: Instant,
}

/// The content of the queue.
#[derive(Debug)]
pub(crate) enum Taken {
    Rows(Vec<CommittedRow>),
    /// Rows were dropped; this is the lowest position of all that were in the queue or dropped.
    ReadFrom(i64),
}

impl HandOver {
    /// Passes the rows of a committed transaction to the relay. Never waits: rows that do not fit are left to the table.
    pub fn committed(&self, inserted: InsertedRows) {
        if inserted.rows.is_empty() {
            return;
        }
        self.queue().push(inserted);
        self.0.arrived.notify_one();
    }

    /// Up to `limit` rows, in the order of the hand-overs; none if none wait.
    pub(crate) fn take(&self, limit: usize) -> Taken {
        self.queue().take(limit)
    }

    /// Completes after the next [`HandOver::committed`], at once if one came since the last call.
    pub(crate) async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl HandOver {
    /// A queue that overflows early.
    pub(crate) fn bounded(max_rows: usize) -> Self {
        let hand_over = Self::default();
        hand_over.queue().max_rows = max_rows;
        hand_over
    }
}

impl Queue {
    fn push(&mut self, inserted: InsertedRows) {
        let InsertedRows { began, rows } = inserted;
        let bytes: usize = rows.iter().map(OutboxRow::size).sum();
        let fits = self.rows.len() + rows.len() <= self.max_rows && self.bytes + bytes <= MAX_BYTES;
        if self.dropped.is_some() || !fits {
            let lowest = rows.iter().map(|row| row.seq).min();
            self.dropped = self.dropped.into_iter().chain(lowest).min();
            return;
        }
        self.bytes += bytes;
        let committed = rows.into_iter().map(|row| CommittedRow { row, began });
        self.rows.extend(committed);
    }

    fn take(&mut self, limit: usize) -> Taken {
        if let Some(dropped) = self.dropped.take() {
            // The reads that follow find these rows too.
            let waiting = self.rows.drain(..).map(|committed| committed.row.seq);
            let lowest = waiting.fold(dropped, i64::min);
            self.bytes = 0;
            return Taken::ReadFrom(lowest);
        }
        let count = self.rows.len().min(limit);
        let rows: Vec<CommittedRow> = self.rows.drain(..count).collect();
        self.bytes -= rows.iter().map(|taken| taken.row.size()).sum::<usize>();
        Taken::Rows(rows)
    }
}

#[cfg(test)]
mod tests;
