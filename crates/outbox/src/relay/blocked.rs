//! Keys that stand still: an event of theirs was refused so often that it will not be published without help.
//!
//! Pure. Nothing of such a key is held in memory: its rows are passed over wherever they are read, so that any number of
//! them cannot fill the window. After a while the key is read again, from its first row: whoever has mended that row, the
//! topic or the broker's limits needs to tell nobody, and neither does who has deleted it.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// How long a key stands still before its first event is tried again. Soon enough for who waits for the mended event, and
/// one attempt of one event in this time troubles nobody.
const STANDSTILL: Duration = Duration::from_secs(30);

/// The keys that stand still.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    keys: HashSet<String>,
    /// When each may be read again, the earliest first.
    ends: VecDeque<(Instant, String)>,
    /// Rows that have stopped their key. They get one attempt each time, and were reported.
    culprits: BTreeSet<i64>,
}

impl Blocked {
    /// Whether the rows of this key are passed over.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether this row has stopped its key before.
    pub(super) fn is_culprit(&self, seq: i64) -> bool {
        self.culprits.contains(&seq)
    }

    /// Lets the key of this row stand still; `most` bounds how many rows are remembered.
    pub(super) fn stop(&mut self, seq: i64, key: &str, now: Instant, most: usize) {
        self.culprits.insert(seq);
        if self.culprits.len() > most {
            self.culprits.pop_first();
        }
        if self.keys.insert(key.to_owned()) {
            self.ends.push_back((now + STANDSTILL, key.to_owned()));
        }
    }

    /// The row was published after all.
    pub(super) fn acquit(&mut self, seq: i64) {
        self.culprits.remove(&seq);
    }

    /// Lets the keys go on whose time is over. Returns whether there were any: their rows have to be read from the first.
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
    fn a_key_stands_still_for_its_time_and_no_longer() {
        let now = Instant::now();
        let mut blocked = Blocked::default();

        blocked.stop(7, "a", now, 10);

        assert!(blocked.contains("a"));
        assert!(!blocked.lift(now + STANDSTILL - Duration::from_millis(1)));
        assert!(blocked.lift(now + STANDSTILL));
        assert!(!blocked.contains("a"));
    }

    #[test]
    fn a_row_that_stopped_its_key_is_remembered_until_it_is_published() {
        let now = Instant::now();
        let mut blocked = Blocked::default();
        blocked.stop(7, "a", now, 10);
        blocked.lift(now + STANDSTILL);

        assert!(blocked.is_culprit(7));
        blocked.acquit(7);
        assert!(!blocked.is_culprit(7));
    }

    #[test]
    fn no_more_rows_are_remembered_than_allowed() {
        let mut blocked = Blocked::default();
        for seq in 0..100 {
            blocked.stop(seq, "a", Instant::now(), 10);
        }

        assert_eq!(blocked.culprits.len(), 10);
        assert_eq!(blocked.len(), 1);
    }
}
