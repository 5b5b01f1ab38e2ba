//! What the relay holds in memory: per key a queue of events, the head of which is at the broker.
//!
//! Pure: rows, acknowledgements and failures go in, rows to be sent come out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::outbox::{OutboxRow, Shard};

/// Bounds of what is held: a backlog stays in the table.
const MAX_ROWS: usize = 10_000;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// What becomes of a row that was read.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is to be sent now.
    Send(Arc<OutboxRow>),
    /// It waits for the events of its key before it.
    Queued,
    /// It was taken in before.
    Known,
    /// An event of its key stands before it that was not read yet: it was committed late. The row was not taken in.
    Premature {
        /// The position of that event.
        predecessor: i64,
    },
}

/// The events that were read and are not deleted yet.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Per key, in order; the head is at the broker or waits to be sent again.
    queues: HashMap<String, VecDeque<Arc<OutboxRow>>>,
    /// The head of a queue by its position.
    heads: HashMap<i64, Arc<OutboxRow>>,
    /// Every row read and not deleted, so that looking back does not admit one twice.
    known: BTreeMap<i64, Shard>,
    /// How many of them each shard has.
    held: HashMap<Shard, usize>,
    /// Heads that wait to be sent again, the earliest first.
    postponed: VecDeque<(Instant, i64)>,
    bytes: usize,
    closed: bool,
}

impl Window {
    /// Takes a row in, unless that would let it overtake one that was not read.
    pub(super) fn admit(&mut self, row: OutboxRow) -> Admission {
        if self.known.contains_key(&row.seq) {
            return Admission::Known;
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
        self.heads.insert(row.seq, Arc::clone(&row));
        Admission::Send(row)
    }

    /// The broker has this row; the next of its key is returned if there is one.
    pub(super) fn acknowledge(&mut self, seq: i64) -> Option<Arc<OutboxRow>> {
        let row = self.heads.remove(&seq)?;
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
        self.heads.insert(next.seq, Arc::clone(&next));
        Some(next)
    }

    /// This row is to be sent again, not before `at`.
    pub(super) fn postpone(&mut self, seq: i64, at: Instant) {
        if self.heads.contains_key(&seq) {
            self.postponed.push_back((at, seq));
        }
    }

    /// The rows whose wait is over.
    pub(super) fn due_retries(&mut self, now: Instant) -> Vec<Arc<OutboxRow>> {
        let mut due = Vec::new();
        while let Some((_, seq)) = self.postponed.pop_front_if(|(at, _)| *at <= now) {
            due.extend(self.heads.get(&seq).cloned());
        }
        due
    }

    /// When the next wait is over.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.postponed.front().map(|(at, _)| *at)
    }

    /// These rows are deleted from the table.
    pub(super) fn forget(&mut self, deleted: &[i64]) {
        for seq in deleted {
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

    /// Whether rows are at the broker.
    pub(super) fn is_sending(&self) -> bool {
        self.heads.len() > self.postponed.len()
    }

    /// Whether no more rows should be read.
    pub(super) fn is_full(&self) -> bool {
        self.known.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }
}

fn size(row: &OutboxRow) -> usize {
    let headers: usize = row
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    row.payload.len() + row.key.len() + headers
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn row(seq: i64, key: &str) -> OutboxRow {
        OutboxRow {
            seq,
            shard: Shard::of(key),
            predecessor: None,
            topic: "events".to_owned(),
            key: key.to_owned(),
            headers: Vec::new(),
            payload: vec![0; 10],
        }
    }

    fn seq(row: Option<Arc<OutboxRow>>) -> Option<i64> {
        row.map(|row| row.seq)
    }

    impl Window {
        /// Takes a row in and returns it if it is to be sent now.
        fn take(&mut self, row: OutboxRow) -> Option<Arc<OutboxRow>> {
            match self.admit(row) {
                Admission::Send(row) => Some(row),
                _ => None,
            }
        }
    }

    #[test]
    fn one_event_per_key_is_at_the_broker_and_many_keys_at_once() {
        let mut window = Window::default();

        assert_eq!(seq(window.take(row(1, "a"))), Some(1));
        assert_eq!(seq(window.take(row(2, "a"))), None);
        assert_eq!(seq(window.take(row(3, "b"))), Some(3));

        assert_eq!(seq(window.acknowledge(1)), Some(2));
    }

    #[test]
    fn a_row_read_again_before_it_is_deleted_is_not_sent_again() {
        let mut window = Window::default();
        window.take(row(1, "a"));
        window.acknowledge(1);

        assert_eq!(seq(window.take(row(1, "a"))), None);

        window.forget(&[1]);
        assert_eq!(seq(window.take(row(1, "a"))), Some(1));
    }

    #[test]
    fn an_event_does_not_overtake_one_of_its_key_that_was_committed_late() {
        let mut window = Window::default();
        let late = row(1, "a");
        let early = OutboxRow {
            predecessor: Some(1),
            ..row(5, "a")
        };

        let premature = window.admit(early.clone());
        assert!(matches!(premature, Admission::Premature { predecessor: 1 }));
        assert_eq!(seq(window.take(late)), Some(1));
        assert!(matches!(window.admit(early), Admission::Queued));
        assert_eq!(seq(window.acknowledge(1)), Some(5));
    }

    #[test]
    fn an_event_need_not_wait_for_a_predecessor_that_is_acknowledged_but_not_deleted() {
        let mut window = Window::default();
        window.take(row(1, "a"));
        window.acknowledge(1);

        let next = OutboxRow {
            predecessor: Some(1),
            ..row(2, "a")
        };

        assert_eq!(seq(window.take(next)), Some(2));
    }

    #[test]
    fn a_shard_is_held_until_its_last_row_is_deleted() {
        let mut window = Window::default();
        let shard = Shard::of("a");
        window.take(row(1, "a"));
        window.take(row(2, "a"));

        window.acknowledge(1);
        window.acknowledge(2);
        window.forget(&[1]);
        assert!(window.holds(shard));
        window.forget(&[2]);
        assert!(!window.holds(shard));
    }

    #[test]
    fn what_is_known_above_a_position_need_not_be_read_again() {
        let mut window = Window::default();
        for at in 1..=4 {
            window.take(row(at, "a"));
        }
        assert_eq!(window.known_above(2), [3, 4]);
        assert_eq!(window.known_above(i64::MAX), [0_i64; 0]);
    }

    #[test]
    fn a_failed_event_is_sent_again_before_its_successor() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut window = Window::default();
        window.take(row(1, "a"));
        window.take(row(2, "a"));

        window.postpone(1, later);

        assert!(window.due_retries(now).is_empty());
        assert_eq!(window.next_retry(), Some(later));
        let due: Vec<i64> = window
            .due_retries(later)
            .iter()
            .map(|row| row.seq)
            .collect();
        assert_eq!(due, [1]);
        assert_eq!(seq(window.acknowledge(1)), Some(2));
    }

    #[test]
    fn a_closed_window_sends_nothing_more_and_waits_only_for_what_is_at_the_broker() {
        let mut window = Window::default();
        window.take(row(1, "a"));
        window.take(row(2, "a"));
        window.take(row(3, "b"));
        window.postpone(3, Instant::now());

        window.close();

        assert!(window.is_sending());
        assert_eq!(seq(window.acknowledge(1)), None);
        assert!(!window.is_sending());
    }

    #[test]
    fn a_full_window_leaves_the_backlog_in_the_table() {
        let mut window = Window::default();
        for seq in 0..10_000 {
            assert!(!window.is_full());
            window.take(row(seq, &seq.to_string()));
        }

        assert!(window.is_full());
    }

    proptest! {
        /// Whatever fails and whenever it is acknowledged: every row is sent, and per key in order, none before its
        /// predecessor was acknowledged.
        #[test]
        fn every_key_is_published_in_order_under_any_failures(
            keys in proptest::collection::vec(0_u8..4, 1..40),
            faults in proptest::collection::vec((any::<usize>(), any::<bool>()), 200),
        ) {
            let now = Instant::now();
            let mut window = Window::default();
            let mut at_broker: Vec<i64> = Vec::new();
            let mut published: HashMap<u8, Vec<i64>> = HashMap::new();
            for (at, key) in (0_i64..).zip(&keys) {
                at_broker.extend(seq(window.take(row(at, &key.to_string()))));
            }

            let mut faults = faults.into_iter();
            while !at_broker.is_empty() {
                let (pick, fails) = faults.next().unwrap_or((0, false));
                let sent = at_broker.swap_remove(pick % at_broker.len());
                if fails {
                    window.postpone(sent, now);
                    at_broker.extend(window.due_retries(now).iter().map(|row| row.seq));
                } else {
                    let key = keys[usize::try_from(sent).unwrap()];
                    published.entry(key).or_default().push(sent);
                    at_broker.extend(seq(window.acknowledge(sent)));
                }
            }

            for (key, sequence) in published {
                let expected: Vec<i64> = (0_i64..).zip(&keys).filter(|(_, k)| **k == key).map(|(s, _)| s).collect();
                prop_assert_eq!(sequence, expected);
            }
        }
    }
}
