//! One scan of the table: pages of positions from a start position to the end of the table, or until the window is full. Of
//! each page, only the rows that are not in memory are read.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::super::position::Position;
use super::{READ_LIMIT, SCAN_LIMIT};

/// Interval of scans without a reason: a row that was not handed over was written by a program beside the service, or its
/// writer died, or did not learn the result of its commit.
const POLL: Duration = Duration::from_millis(250);

/// Intervals while there are other replicas, which write rows and hand over none of them to this relay: short while scans
/// find rows, else longer.
const POLL_OTHERS_BUSY: Duration = Duration::from_millis(5);
const POLL_OTHERS_IDLE: Duration = Duration::from_millis(50);

/// When a scan begins, and how far it has come.
#[derive(Debug)]
pub(super) struct Scan {
    position: Position,
    /// Rows above this position are known to be unread, or may be. `None` once a scan has reached the end of the table.
    behind: Option<i64>,
    has_other_replicas: bool,
    /// When the next scan is due.
    due: Instant,
    running: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    /// All rows up to this position are in memory, or were.
    after: i64,
    /// The rest of a page: positions of rows that are not in memory, ascending.
    unread: VecDeque<i64>,
    /// The end of that page.
    page_end: i64,
    is_last_page: bool,
    has_found: bool,
}

/// The next read of a running scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextRead {
    /// The next page of positions, above this one.
    Positions(i64),
    /// The rows at these positions.
    Rows(Vec<i64>),
}

impl Scan {
    /// Begins with the whole table.
    pub(super) fn new(has_other_writers: bool, now: Instant) -> Self {
        Self {
            position: Position::new(has_other_writers, now),
            behind: Some(0),
            has_other_replicas: false,
            due: now,
            running: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether no row is known to be unread.
    pub(super) fn is_caught_up(&self) -> bool {
        self.behind.is_none() && self.running.is_none()
    }

    /// When the next scan is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn note_replicas(&mut self, has_others: bool) {
        self.has_other_replicas = has_others;
    }

    /// The row at this position is unread: the next scan is due, and begins there or below.
    pub(super) fn read_from(&mut self, seq: i64, now: Instant) {
        let behind = self.behind.unwrap_or(i64::MAX);
        self.behind = Some(behind.min(seq - 1));
        self.due = now;
    }

    /// The table may have rows anywhere that were never read.
    pub(super) fn restart(&mut self, now: Instant) {
        self.read_from(1, now);
    }

    /// Whether the table can have no row that must be published before the handed-over row at this position and is unknown.
    pub(super) fn reaches(&self, seq: i64) -> bool {
        self.position.reaches(seq)
    }

    /// The row at this position was handed over.
    pub(super) fn handed_over(&mut self, seq: i64, now: Instant) {
        self.position.advance(seq, now);
    }

    pub(super) fn begin(&mut self, now: Instant) {
        let start = self.position.start(now);
        // What is missed from now on needs another scan.
        let after = self.behind.take().unwrap_or(start).min(start);
        self.running = Some(Pass {
            after,
            unread: VecDeque::new(),
            page_end: after,
            is_last_page: false,
            has_found: false,
        });
    }

    pub(super) fn next_read(&self) -> Option<NextRead> {
        let pass = self.running.as_ref()?;
        Some(if pass.unread.is_empty() {
            NextRead::Positions(pass.after)
        } else {
            NextRead::Rows(pass.batch().collect())
        })
    }

    /// A page of positions, and those of them that are not in memory.
    pub(super) fn page(&mut self, positions: &[i64], unread: VecDeque<i64>, now: Instant) {
        let Some(pass) = &mut self.running else {
            return;
        };
        pass.is_last_page = positions.len() < SCAN_LIMIT as usize;
        pass.page_end = positions.last().copied().unwrap_or(pass.after);
        pass.has_found |= !unread.is_empty();
        pass.unread = unread;
        if pass.unread.is_empty() {
            self.page_is_read(now);
        }
    }

    /// The rows that were asked for last are in memory, as far as they exist.
    pub(super) fn rows_are_read(&mut self, has_room: bool, now: Instant) {
        let Some(pass) = &mut self.running else {
            return;
        };
        let read = pass.batch().count();
        let last = pass.unread.drain(..read).next_back();
        pass.after = last.unwrap_or(pass.after);
        self.position.advance(pass.after, now);
        if pass.unread.is_empty() {
            self.page_is_read(now);
        }
        if !has_room {
            self.interrupt(now);
        }
    }

    fn page_is_read(&mut self, now: Instant) {
        let Some(pass) = &mut self.running else {
            return;
        };
        pass.after = pass.page_end;
        self.position.advance(pass.page_end, now);
        if pass.is_last_page {
            self.end(now);
        }
    }

    /// The row at this position was committed late, and must be read before the rows that were asked for last.
    pub(super) fn back_to(&mut self, missing: i64, has_room: bool, now: Instant) {
        let Some(pass) = &mut self.running else {
            return;
        };
        pass.after = missing - 1;
        pass.unread.clear();
        if !has_room {
            self.interrupt(now);
        }
    }

    /// The window is full: the rest is read as soon as it has room again.
    fn interrupt(&mut self, now: Instant) {
        if let Some(pass) = self.running.take() {
            self.read_from(pass.after + 1, now);
        }
    }

    /// The scan has reached the end of the table.
    pub(super) fn end(&mut self, now: Instant) {
        let has_found = self.running.take().is_some_and(|pass| pass.has_found);
        if self.behind.is_some() {
            self.due = now;
            return;
        }
        self.due = now
            + match (self.has_other_replicas, has_found) {
                (false, _) => POLL,
                (true, true) => POLL_OTHERS_BUSY,
                (true, false) => POLL_OTHERS_IDLE,
            };
    }
}

impl Pass {
    /// The positions of the next rows to be read.
    fn batch(&self) -> impl Iterator<Item = i64> {
        self.unread.iter().take(READ_LIMIT).copied()
    }
}
