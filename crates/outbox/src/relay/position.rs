//! The position in the outbox at which the next read begins.
//!
//! Pure: the clock is an argument. With one writer, positions are assigned in commit order, and a read continues where the
//! last one ended. With concurrent transactions a row can become visible below a position that was already read, so reads
//! overlap: by a little each time, by more every second, and over the whole table every 30 s. A row that is read again
//! costs one entry of the exclusion list. The overlap does not decide the order of events; the window does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Overlap of every read: it begins at the position that was reached this long ago.
const OVERLAP: Duration = Duration::from_millis(200);

/// Overlap of every deep read: a row that became visible up to this late is found within [`DEEP_EVERY`].
const DEEP: Duration = Duration::from_secs(10);
const DEEP_EVERY: Duration = Duration::from_secs(1);

/// Interval of full reads, so that correctness depends on no position.
const FULL_EVERY: Duration = Duration::from_secs(30);

/// Resolution of the history.
const STEP: Duration = Duration::from_millis(20);

/// The highest position read, now and over the last [`DEEP`].
#[derive(Debug)]
pub(super) struct Position {
    overlaps: bool,
    top: i64,
    /// Earlier values of `top`, the oldest first.
    history: VecDeque<(Instant, i64)>,
    deep_at: Instant,
    full_at: Instant,
}

impl Position {
    pub(super) fn new(overlaps: bool, now: Instant) -> Self {
        Self {
            overlaps,
            top: 0,
            history: VecDeque::new(),
            deep_at: now + DEEP_EVERY,
            full_at: now + FULL_EVERY,
        }
    }

    /// The position behind which the next read begins.
    pub(super) fn start(&mut self, now: Instant) -> i64 {
        if now >= self.full_at {
            self.full_at = now + FULL_EVERY;
            return 0;
        }
        if !self.overlaps {
            return self.top;
        }
        if now >= self.deep_at {
            self.deep_at = now + DEEP_EVERY;
            return self.top_before(now, DEEP);
        }
        self.top_before(now, OVERLAP)
    }

    /// Rows up to `seq` were read.
    pub(super) fn advance(&mut self, seq: i64, now: Instant) {
        self.top = self.top.max(seq);
        let is_new = self.history.back().is_none_or(|(at, _)| now >= *at + STEP);
        if self.overlaps && is_new {
            self.history.push_back((now, self.top));
            self.forget(now);
        }
    }

    /// Restarts at the beginning of the table, because it may have rows that were never read.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(self.overlaps, now);
    }

    fn top_before(&self, now: Instant, back: Duration) -> i64 {
        let then = self.history.iter().rev().find(|(at, _)| *at + back <= now);
        then.map_or(0, |(_, top)| *top)
    }

    /// Keeps one entry from before the deepest overlap.
    fn forget(&mut self, now: Instant) {
        while self.history.get(1).is_some_and(|(at, _)| *at + DEEP <= now) {
            self.history.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: f64) -> Duration {
        Duration::from_secs_f64(number)
    }

    #[test]
    fn with_one_writer_a_read_continues_where_the_last_ended() {
        let start = Instant::now();
        let mut position = Position::new(false, start);
        position.advance(7, start);
        assert_eq!(position.start(start), 7);
    }

    #[test]
    fn with_several_writers_reads_overlap_by_200_ms() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        position.advance(100, start);
        position.advance(200, start + seconds(0.3));

        assert_eq!(position.start(start), 0);
        assert_eq!(position.start(start + seconds(0.2)), 100);
        assert_eq!(position.start(start + seconds(0.4)), 100);
        assert_eq!(position.start(start + seconds(0.5)), 200);
    }

    #[test]
    fn every_second_a_read_overlaps_by_10_s() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        for second in 0..20_u8 {
            let now = start + seconds(f64::from(second));
            position.advance(i64::from(second), now);
        }
        let now = start + seconds(20.0);
        assert_eq!(position.start(now), 10);
        assert_eq!(position.start(now), 19);
    }

    #[test]
    fn every_30_s_and_after_a_restart_the_whole_table_is_read() {
        let start = Instant::now();
        for overlaps in [false, true] {
            let mut position = Position::new(overlaps, start);
            position.advance(100, start);
            let later = start + FULL_EVERY;
            assert_eq!(position.start(later), 0);
            position.advance(200, later);
            let later = later + seconds(1.5);
            // Consumes the deep read that is due as well.
            position.start(later);
            assert_eq!(position.start(later), 200);
            position.restart(later);
            assert_eq!(position.start(later), 0);
        }
    }

    #[test]
    fn a_full_read_that_found_the_window_full_is_continued() {
        let start = Instant::now();
        for overlaps in [false, true] {
            let mut position = Position::new(overlaps, start);
            position.advance(100, start);
            position.restart(start);
            position.advance(20, start);
            let later = start + seconds(0.5);
            assert_eq!(position.start(later), 20);
        }
    }

    #[test]
    fn history_beyond_the_deepest_overlap_is_dropped() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        for at in 0..100_000_u32 {
            position.advance(i64::from(at), start + Duration::from_millis(1) * at);
        }
        assert!(position.history.len() <= 510, "{}", position.history.len());
    }
}
