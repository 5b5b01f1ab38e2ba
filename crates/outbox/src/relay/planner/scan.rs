//! One scan of the table: a sequence of reads from a start position to the end of the table, or until the window is full.

use std::time::Duration;

use tokio::time::Instant;

use super::super::position::Position;

/// Interval of scans without a signal: a signal is lost when its process dies before it is sent.
const POLL: Duration = Duration::from_millis(250);

/// Intervals for rows that other processes write without a signal: short while scans find rows, else longer.
const POLL_OTHERS_BUSY: Duration = Duration::from_millis(5);
const POLL_OTHERS_IDLE: Duration = Duration::from_millis(50);

/// The progress of one read.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReadProgress {
    /// The read returned no rows.
    Nothing,
    /// All rows up to this position were admitted.
    UpTo(i64),
    /// The row at this position was committed late and must be read first.
    BackTo(i64),
}

/// When a scan begins, and how far it has come.
#[derive(Debug)]
pub(super) struct Scan {
    position: Position,
    has_other_writers: bool,
    /// When the next scan is due without a signal.
    due: Instant,
    running: Option<Pass>,
}

#[derive(Clone, Copy, Debug)]
struct Pass {
    after: i64,
    found: Found,
}

/// The rows that a scan has found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    None,
    Some,
    /// More than the window has room for.
    More,
}

impl Scan {
    pub(super) fn new(has_other_writers: bool, now: Instant) -> Self {
        Self {
            position: Position::new(has_other_writers, now),
            has_other_writers,
            due: now,
            running: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// When the next scan is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Makes the next scan due now.
    pub(super) fn request(&mut self, now: Instant) {
        self.due = now;
    }

    /// Lets the next scan begin at the beginning of the table.
    pub(super) fn restart(&mut self, now: Instant) {
        self.position.restart(now);
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.running = Some(Pass {
            after: self.position.start(now),
            found: Found::None,
        });
    }

    /// The position behind which the running scan continues.
    pub(super) fn after(&self) -> Option<i64> {
        self.running.map(|pass| pass.after)
    }

    /// A row was admitted to the window.
    pub(super) fn admitted(&mut self, seq: i64, now: Instant) {
        self.position.advance(seq, now);
    }

    /// Continues or ends the scan after a read.
    pub(super) fn proceed(
        &mut self,
        progress: ReadProgress,
        is_last: bool,
        has_room: bool,
        now: Instant,
    ) {
        let Some(Pass { found, .. }) = self.running else {
            return;
        };
        let after = match progress {
            ReadProgress::BackTo(missing) => missing - 1,
            ReadProgress::UpTo(seq) if !is_last => seq,
            ReadProgress::UpTo(_) => return self.end(Found::Some, now),
            ReadProgress::Nothing => return self.end(found, now),
        };
        if !has_room {
            return self.end(Found::More, now);
        }
        self.running = Some(Pass {
            after,
            found: Found::Some,
        });
    }

    pub(super) fn end(&mut self, found: Found, now: Instant) {
        self.running = None;
        self.due = now
            + match (found, self.has_other_writers) {
                // As soon as the window has room again.
                (Found::More, _) => Duration::ZERO,
                (_, false) => POLL,
                (Found::Some, true) => POLL_OTHERS_BUSY,
                (Found::None, true) => POLL_OTHERS_IDLE,
            };
    }

    /// A read failed: the next scan begins at the beginning of the table, whatever this one was a part of.
    pub(super) fn failed(&mut self, now: Instant) {
        self.running = None;
        self.restart(now);
        self.request(now);
    }
}
