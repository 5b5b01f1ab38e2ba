//! Where in the outbox the next read begins.
//!
//! Pure: the clock is an argument. Where one writer gives out positions in commit order, reading goes on where it ended.
//! Where several transactions write at once, a row can become visible below a position that was already read, so reading
//! looks back: a little each time, further every second, and over the whole table now and then. What was read before
//! costs nothing but its place in a list. No look-back decides the order of events: that is the window's business.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Commits overlap by this much all the time: every read begins where reading had come this long ago.
const OVERLAP: Duration = Duration::from_millis(200);

/// A commit that took longer than the overlap is found within [`DEEP_EVERY`], if it took no longer than this.
const DEEP: Duration = Duration::from_secs(10);
const DEEP_EVERY: Duration = Duration::from_secs(1);

/// The whole table is read this often, so that correctness depends on no position.
const FULL_EVERY: Duration = Duration::from_secs(30);

/// Steps in which the past is remembered.
const STEP: Duration = Duration::from_millis(20);

/// How far reading has come, now and in the last seconds.
#[derive(Debug)]
pub(super) struct Position {
    looks_back: bool,
    top: i64,
    /// What `top` was, the oldest first.
    past: VecDeque<(Instant, i64)>,
    deep_at: Instant,
    full_at: Instant,
}

impl Position {
    /// At the beginning of the table.
    pub(super) fn new(looks_back: bool, now: Instant) -> Self {
        Self {
            looks_back,
            top: 0,
            past: VecDeque::new(),
            deep_at: now + DEEP_EVERY,
            full_at: now + FULL_EVERY,
        }
    }

    /// Behind which row a read begins.
    pub(super) fn start(&mut self, now: Instant) -> i64 {
        if now >= self.full_at {
            self.full_at = now + FULL_EVERY;
            return 0;
        }
        if !self.looks_back {
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
        let is_new = self.past.back().is_none_or(|(at, _)| now >= *at + STEP);
        if self.looks_back && is_new {
            self.past.push_back((now, self.top));
            self.forget(now);
        }
    }

    /// There are rows of which nothing was read: reading begins at the beginning, and comes as far as there is room.
    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(self.looks_back, now);
    }

    fn top_before(&self, now: Instant, back: Duration) -> i64 {
        let then = self.past.iter().rev().find(|(at, _)| *at + back <= now);
        then.map_or(0, |(_, top)| *top)
    }

    /// Keeps one entry from before the deepest look.
    fn forget(&mut self, now: Instant) {
        while self.past.get(1).is_some_and(|(at, _)| *at + DEEP <= now) {
            self.past.pop_front();
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
    fn with_one_writer_reading_goes_on_where_it_ended() {
        let start = Instant::now();
        let mut position = Position::new(false, start);
        position.advance(7, start);
        assert_eq!(position.start(start), 7);
    }

    #[test]
    fn with_several_writers_reading_begins_where_it_was_a_moment_ago() {
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
    fn every_second_reading_begins_where_it_was_ten_seconds_ago() {
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
    fn now_and_then_and_after_a_take_over_the_whole_table_is_read() {
        let start = Instant::now();
        for looks_back in [false, true] {
            let mut position = Position::new(looks_back, start);
            position.advance(100, start);
            let later = start + FULL_EVERY;
            assert_eq!(position.start(later), 0);
            position.advance(200, later);
            let later = later + seconds(1.5);
            // Past the deep look that is due as well.
            position.start(later);
            assert_eq!(position.start(later), 200);
            position.restart(later);
            assert_eq!(position.start(later), 0);
        }
    }

    #[test]
    fn a_read_from_the_beginning_that_found_no_room_is_continued() {
        let start = Instant::now();
        for looks_back in [false, true] {
            let mut position = Position::new(looks_back, start);
            position.advance(100, start);
            position.restart(start);
            position.advance(20, start);
            let later = start + seconds(0.5);
            assert_eq!(position.start(later), 20);
        }
    }

    #[test]
    fn the_past_is_forgotten_beyond_the_deepest_look() {
        let start = Instant::now();
        let mut position = Position::new(true, start);
        for at in 0..100_000_u32 {
            position.advance(i64::from(at), start + Duration::from_millis(1) * at);
        }
        assert!(position.past.len() <= 510, "{}", position.past.len());
    }
}
