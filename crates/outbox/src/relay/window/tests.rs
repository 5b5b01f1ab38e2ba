//! The window alone: which rows it admits, and when each may be sent.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::outbox::OutboxRecord;

fn row(seq: i64, key: &str) -> OutboxRow {
    OutboxRow {
        seq,
        shard: Shard::of(key),
        predecessor: None,
        record: Arc::new(OutboxRecord {
            topic: "events".into(),
            key: key.to_owned(),
            headers: Vec::new(),
            payload: vec![0; 10],
        }),
        damaged: None,
    }
}

fn seq(row: Option<OutboxRow>) -> Option<i64> {
    row.map(|row| row.seq)
}

impl Window {
    /// Admits a row and returns it if it is to be sent now.
    fn take(&mut self, row: OutboxRow) -> Option<OutboxRow> {
        match self.admit(row) {
            WindowSlot::Send(row) => Some(row),
            _ => None,
        }
    }
}

#[test]
fn one_event_per_key_is_in_flight_and_many_keys_at_once() {
    let mut window = Window::default();

    assert_eq!(seq(window.take(row(1, "a"))), Some(1));
    assert_eq!(seq(window.take(row(2, "a"))), None);
    assert_eq!(seq(window.take(row(3, "b"))), Some(3));

    assert_eq!(seq(window.acknowledge(1)), Some(2));
}

#[test]
fn a_row_that_comes_again_before_or_after_it_is_deleted_is_not_sent_again() {
    let mut window = Window::default();
    window.take(row(1, "a"));
    window.acknowledge(1);

    assert_eq!(seq(window.take(row(1, "a"))), None);

    window.deleted(&[1]);
    assert_eq!(seq(window.take(row(1, "a"))), None);
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
    assert!(matches!(
        premature,
        WindowSlot::Premature { predecessor: 1 }
    ));
    assert_eq!(seq(window.take(late)), Some(1));
    assert!(matches!(window.admit(early), WindowSlot::Queued));
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
    window.deleted(&[1]);
    assert!(window.holds(shard));
    window.deleted(&[2]);
    assert!(!window.holds(shard));
}

#[test]
fn an_event_need_not_wait_for_a_predecessor_that_is_deleted() {
    let mut window = Window::default();
    window.take(row(1, "a"));
    window.acknowledge(1);
    window.deleted(&[1]);

    let next = OutboxRow {
        predecessor: Some(1),
        ..row(2, "a")
    };

    assert_eq!(seq(window.take(next)), Some(2));
}

#[test]
fn deleted_rows_are_remembered_up_to_a_bound_and_below_it_only_the_table_tells() {
    let mut window = Window::default();
    let count = i64::try_from(MAX_DELETED).unwrap();
    window.deleted(&(1..=count).collect::<Vec<_>>());
    assert!(!window.may_have_deleted(1));

    window.deleted(&[count + 1, count + 2]);
    // A row that was committed late does not lower the bound.
    window.deleted(&[1]);

    assert!(window.may_have_deleted(2));
    assert!(!window.may_have_deleted(3));
    assert!(window.knows(3) && window.knows(count + 2) && !window.knows(1));
    assert_eq!(window.deleted.len(), MAX_DELETED);
}

fn due(window: &mut Window, now: Instant) -> Vec<i64> {
    window.due_retries(now).iter().map(|row| row.seq).collect()
}

#[test]
fn a_failed_event_is_retried_before_its_successor() {
    let now = Instant::now();
    let mut window = Window::default();
    window.take(row(1, "a"));
    window.take(row(2, "a"));

    assert_eq!(
        window.publish_failed(1, now),
        PublishFailure::RetryScheduled
    );

    assert_eq!(due(&mut window, now), [0_i64; 0]);
    let later = window.next_retry().unwrap();
    assert_eq!(due(&mut window, later), [1]);
    assert_eq!(seq(window.acknowledge(1)), Some(2));
}

#[test]
fn events_that_failed_together_are_retried_apart_and_with_growing_waits() {
    let now = Instant::now();
    let waits = |failures| {
        let mut waits: Vec<_> = (1..=100)
            .map(|seq| spread(RETRY_BACKOFF.bound(failures), seq).as_millis())
            .collect();
        waits.sort_unstable();
        waits.dedup();
        waits
    };
    assert!(waits(1).len() > 50);
    assert!(waits(1)[0] >= 125 && waits(2)[0] >= 250);

    let mut window = Window::default();
    window.take(row(1, "a"));
    for _ in 1..MAX_ATTEMPTS {
        assert_eq!(
            window.publish_failed(1, now),
            PublishFailure::RetryScheduled
        );
    }
    assert!(now + RETRY_BACKOFF.cap >= window.next_retry().unwrap());
}

fn blocked(key: &str, is_new: bool) -> PublishFailure {
    let key = key.to_owned();
    PublishFailure::KeyBlocked { key, is_new }
}

/// Fails a row until its key is blocked.
fn exhaust_attempts(window: &mut Window, seq: i64, now: Instant) -> PublishFailure {
    loop {
        match window.publish_failed(seq, now) {
            PublishFailure::RetryScheduled => window.retries.clear(),
            other => return other,
        }
    }
}

#[test]
fn a_key_whose_event_exhausted_its_attempts_is_blocked_and_takes_no_room() {
    let now = Instant::now();
    let mut window = Window::default();
    window.take(row(1, "a"));
    window.take(row(2, "a"));
    window.take(row(3, "b"));

    let failure = exhaust_attempts(&mut window, 1, now);

    assert_eq!(failure, blocked("a", true));
    assert!(!window.holds(Shard::of("a")));
    assert!(!window.knows(1) && !window.knows(2) && window.knows(3));
    assert!(matches!(window.admit(row(4, "a")), WindowSlot::KeyBlocked));
    assert_eq!(seq(window.acknowledge(3)), None);
    assert_eq!(window.bytes, 0);
}

#[test]
fn a_blocked_key_is_retried_with_one_attempt_of_the_same_event() {
    let now = Instant::now();
    let mut window = Window::default();
    window.take(row(1, "a"));
    exhaust_attempts(&mut window, 1, now);

    let later = now + Duration::from_secs(60);
    assert!(window.lift_blocks(later));
    assert_eq!(seq(window.take(row(1, "a"))), Some(1));

    let failure = window.publish_failed(1, later);
    assert_eq!(failure, blocked("a", false));
}

#[test]
fn a_closed_window_sends_nothing_more_and_waits_only_for_events_in_flight() {
    let mut window = Window::default();
    window.take(row(1, "a"));
    window.take(row(2, "a"));
    window.take(row(3, "b"));
    window.publish_failed(3, Instant::now());

    window.close();

    assert!(window.has_in_flight());
    assert_eq!(seq(window.acknowledge(1)), None);
    assert!(!window.has_in_flight());
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
    /// For any sequence of failures and acknowledgements: every row is sent, per key in order, and none before its
    /// predecessor was acknowledged.
    #[test]
    fn every_key_is_published_in_order_under_any_failures(
        keys in proptest::collection::vec(0_u8..4, 1..40),
        faults in proptest::collection::vec((any::<usize>(), any::<bool>()), 200),
    ) {
        let mut now = Instant::now();
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
            if fails && window.heads[&sent].failures + 1 < MAX_ATTEMPTS {
                window.publish_failed(sent, now);
                now += RETRY_BACKOFF.cap;
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
