//! The position in the outbox at which a scan begins once everything known to be unread was read.
//!
//! Pure: the clock is an argument. With one writer, positions are in commit order, and a scan continues where reading ended.
//! With concurrent transactions a row can become visible below a position that was already reached, so scans overlap: by a
//! little each time, by more every second, and over the whole table every 30 s. The overlap does not decide the order of
//! events; the window does.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Overlap of every scan: it begins at the position that was reached this long before the previous scan. A row that became
/// visible since that scan, up to this long after its insertion, is found.
const OVERLAP: Duration = Duration::from_millis(200);

/// Overlap of every deep scan: a row that became visible up to this late is found within [`DEEP_EVERY`].
const DEEP: Duration = Duration::from_secs(10);
const DEEP_EVERY: Duration = Duration::from_secs(1);

/// Interval of full scans, so that correctness depends on no position.
const FULL_EVERY: Duration = Duration::from_secs(30);

/// Resolution of the history.
const STEP: Duration = Duration::from_millis(20);

/// Longest time covered by the history: a deep scan, and the wait since the scan before it.
const HISTORY: Duration = Duration::from_secs(12);

/// The highest position reached by reads and hand-overs, now and over the last [`HISTORY`].
#[derive(Debug)]
pub(super) struct Position {
    overlaps: bool,
    top: i64,
    /// Earlier values of `top`, the oldest first.
    history: VecDeque<(Instant, i64)>,
    /// When the previous scan began.
    previous: Instant,
    deep_at: Instant,
    full_at: Instant,
}

impl Position {
    pub(super) fn new(overlaps: bool, now: Instant) -> Self {
        Self {
            overlaps,
            top: 0,
            history: VecDeque::new(),
            previous: now,
            deep_at: now + DEEP_EVERY,
            full_at: now + FULL_EVERY,
        }
    }

    /// The position behind which the scan that begins now starts.
    pub(super) fn start(&mut self, now: Instant) -> i64 {
        let previous = std::mem::replace(&mut self.previous, now);
        if now >= self.full_at {
            self.full_at = now + FULL_EVERY;
            return 0;
        }
        if !self.overlaps {
            return self.top;
        }
        if now >= self.deep_at {
            self.deep_at = now + DEEP_EVERY;
            return self.top_before(previous, DEEP);
        }
        self.top_before(previous, OVERLAP)
    }

    /// Whether no row can be between the highest position reached and `seq`, or whether the overlap finds such rows.
    pub(super) fn reaches(&self, seq: i64) -> bool {
        self.overlaps || seq <= self.top + 1
    }

    /// Rows up to `seq` were read, or the row at `seq` was handed over.
    pub(super) fn advance(&mut self, seq: i64, now: Instant) {
        self.top = self.top.max(seq);
        let is_new = self.history.back().is_none_or(|(at, _)| now >= *at + STEP);
        if self.overlaps && is_new {
            self.history.push_back((now, self.top));
            self.forget(now);
        }
    }

    fn top_before(&self, at: Instant, back: Duration) -> i64 {
        let then = self
            .history
            .iter()
            .rev()
            .find(|(then, _)| *then + back <= at);
        then.map_or(0, |(_, top)| *top)
    }

    /// Keeps one entry from before the deepest overlap.
    fn forget(&mut self, now: Instant) {
        while self
            .history
            .get(1)
            .is_some_and(|(at, _)| *at + HISTORY <= now)
        {
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
    fn with_one_writer_a_scan_continues_where_reading_ended() {
        let start = Instant::now();
        let mut position = Position::new(false, start);
        position.advance(7, start);
        assert_eq!(position.start(start), 7);
        assert!(position.reaches(8));
        assert!(!position.reaches(9));
    }

    #[test]
    fn with_several_writers_scans_overlap_by_200_ms_beyond_the_previous_scan() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        position.advance(100, start);
        position.advance(200, start + seconds(0.3));

        assert_eq!(position.start(start + seconds(0.199)), 0);
        assert_eq!(position.start(start + seconds(0.2)), 0);
        assert_eq!(position.start(start + seconds(0.4)), 100);
        assert_eq!(position.start(start + seconds(0.5)), 100);
        assert_eq!(position.start(start + seconds(0.501)), 200);
        assert_eq!(position.start(start + seconds(0.9)), 200);
    }

    /// A row is inserted below the position that was reached, and becomes visible right after a scan began.
    #[test]
    fn a_row_that_became_visible_since_the_previous_scan_is_not_skipped_however_long_ago_that_was()
    {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        position.advance(100, start);
        position.start(start + seconds(0.3));
        position.advance(200, start + seconds(0.31));

        assert_eq!(position.start(start + seconds(0.9)), 100);
    }

    #[test]
    fn every_second_a_scan_overlaps_by_10_s() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        for second in 0..20_u8 {
            let now = start + seconds(f64::from(second));
            position.advance(i64::from(second), now);
        }
        let now = start + seconds(20.0);
        position.previous = now;
        assert_eq!(position.start(now), 10);
        assert_eq!(position.start(now), 19);
    }

    #[test]
    fn every_30_s_the_whole_table_is_read() {
        let start = Instant::now();
        for overlaps in [false, true] {
            let mut position = Position::new(overlaps, start);
            position.advance(100, start);
            let later = start + FULL_EVERY;
            assert_eq!(position.start(later), 0);
            position.advance(200, later);
            let later = later + seconds(1.5);
            // Consumes the deep scan that is due as well.
            position.start(later);
            position.start(later);
            assert_eq!(position.start(later), 200);
        }
    }

    #[test]
    fn history_beyond_the_deepest_overlap_is_dropped() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        for at in 0..100_000_u32 {
            position.advance(i64::from(at), start + Duration::from_millis(1) * at);
        }
        assert!(position.history.len() <= 610, "{}", position.history.len());
    }
}
