//! Blocked keys: the head event has exhausted its publish attempts.
//!
//! Pure. No row of a blocked key is held in memory: its rows are skipped wherever they are read, so that any number of them
//! cannot fill the window. After [`RETRY_AFTER`] the key is read again from its first row, so an operator who fixed or
//! deleted that row, or changed the topic or the broker's limits, need not notify the relay.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Wait before the first event of a blocked key is tried again: short enough after a fix, and one attempt of one event per
/// interval is no load.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Blocked {
    keys: HashSet<String>,
    /// When each key may be read again, the earliest first.
    ends: VecDeque<(Instant, String)>,
    /// Rows that have blocked their key. They were reported, and get one attempt per retry.
    causes: BTreeSet<i64>,
}

impl Blocked {
    pub(super) fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether this row has blocked its key before and was not published since.
    pub(super) fn has_blocked(&self, seq: i64) -> bool {
        self.causes.contains(&seq)
    }

    /// Blocks the key of this row; at most `max_causes` rows are remembered.
    pub(super) fn block(&mut self, seq: i64, key: &str, now: Instant, max_causes: usize) {
        self.causes.insert(seq);
        if self.causes.len() > max_causes {
            self.causes.pop_first();
        }
        if self.keys.insert(key.to_owned()) {
            self.ends.push_back((now + RETRY_AFTER, key.to_owned()));
        }
    }

    /// This row was published after all.
    pub(super) fn published(&mut self, seq: i64) {
        self.causes.remove(&seq);
    }

    /// Unblocks the keys whose time is over. Returns whether there were any: their rows have to be read from the first.
    pub(super) fn lift(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((_, key)) = self.ends.pop_front_if(|(end, _)| *end <= now) {
            self.keys.remove(&key);
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_blocked_for_its_time_and_no_longer() {
        let now = Instant::now();
        let mut blocked = Blocked::default();

        blocked.block(7, "a", now, 10);

        assert!(blocked.contains("a"));
        assert!(!blocked.lift(now + RETRY_AFTER - Duration::from_millis(1)));
        assert!(blocked.lift(now + RETRY_AFTER));
        assert!(!blocked.contains("a"));
    }

    #[test]
    fn a_row_that_blocked_its_key_is_remembered_until_it_is_published() {
        let now = Instant::now();
        let mut blocked = Blocked::default();
        blocked.block(7, "a", now, 10);
        blocked.lift(now + RETRY_AFTER);

        assert!(blocked.has_blocked(7));
        blocked.published(7);
        assert!(!blocked.has_blocked(7));
    }

    #[test]
    fn no_more_rows_are_remembered_than_allowed() {
        let mut blocked = Blocked::default();
        for seq in 0..100 {
            blocked.block(seq, "a", Instant::now(), 10);
        }

        assert_eq!(blocked.causes.len(), 10);
        assert_eq!(blocked.len(), 1);
    }
}
