//! Acknowledged rows, collected into batches to be deleted.

use std::time::Duration;

use tokio::time::Instant;

/// A batch is deleted this long after its first row was acknowledged, or when it is full. Each delete is a commit that
/// competes with the callers' commits for the disk.
const MAX_AGE: Duration = Duration::from_millis(10);
const BATCH: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Deletes {
    rows: Vec<i64>,
    due: Option<Instant>,
}

impl Deletes {
    pub(super) fn push(&mut self, seq: i64, now: Instant) {
        self.rows.push(seq);
        self.due.get_or_insert(now + MAX_AGE);
    }

    /// Returns rows whose delete failed.
    pub(super) fn put_back(&mut self, rows: Vec<i64>, now: Instant) {
        self.rows.extend(rows);
        self.due = Some(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.rows.len() >= BATCH || self.due.is_some_and(|at| at <= now)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn take(&mut self) -> Vec<i64> {
        self.due = None;
        std::mem::take(&mut self.rows)
    }
}
