//! The planner alone: where it reads after a failure and after a key was unblocked, and which handed-over rows it publishes.

use std::sync::Arc;

use super::super::blocked::RETRY_AFTER;
use super::*;
use crate::outbox::OutboxRecord;

/// Holds every shard, the only relay.
fn planner(has_other_writers: bool, now: Instant) -> Planner {
    let mut planner = Planner::new(has_other_writers, now);
    renew(&mut planner, now);
    planner
}

/// As [`planner`], with an empty table that was read.
fn caught_up(has_other_writers: bool, now: &mut Instant) -> Planner {
    let mut planner = planner(has_other_writers, *now);
    next_scan(&mut planner, now);
    planner.positions(&[], *now);
    planner
}

fn renew(planner: &mut Planner, now: Instant) {
    let shards: Vec<Shard> = Shard::all().collect();
    let grant = LeaseGrant {
        fair_share: shards.len(),
        shards,
        ends: None,
    };
    planner.renewed(grant, now).unwrap();
}

fn row(seq: i64, key: &str) -> OutboxRow {
    OutboxRow {
        seq,
        shard: Shard::of(key),
        predecessor: None,
        record: Arc::new(OutboxRecord {
            topic: "events".into(),
            key: key.to_owned(),
            headers: Vec::new(),
            payload: Vec::new(),
        }),
        damaged: None,
    }
}

fn after(predecessor: i64, row: OutboxRow) -> OutboxRow {
    let predecessor = Some(predecessor);
    OutboxRow { predecessor, ..row }
}

/// Hands over a row whose transaction began now.
fn hand_over(planner: &mut Planner, row: OutboxRow, now: &mut Instant) {
    *now += Duration::from_millis(1);
    assert!(planner.takes_rows());
    planner.handed_over(vec![CommittedRow { row, began: *now }], *now);
}

/// The next action but renewals, rests and deletes, which succeed.
fn next(planner: &mut Planner, now: &mut Instant) -> Action {
    loop {
        match planner.next(*now).unwrap() {
            Action::Renew => renew(planner, *now),
            Action::Rest { until, .. } => *now = until,
            Action::Delete(rows) => planner.deleted(&rows),
            action => return action,
        }
    }
}

/// The position behind which the next scan begins; events to be sent before it stay in flight.
fn next_scan(planner: &mut Planner, now: &mut Instant) -> i64 {
    loop {
        match next(planner, now) {
            Action::Scan(query) => return query.after,
            Action::Send(_) => {}
            action => panic!("{action:?}"),
        }
    }
}

/// Answers a scan with these rows, which are not in memory.
fn found(planner: &mut Planner, rows: Vec<OutboxRow>, now: &mut Instant) {
    let positions: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    planner.positions(&positions, *now);
    assert!(matches!(next(planner, now), Action::Read(wanted) if wanted == positions));
    planner.rows(rows, *now);
}

/// The event that is sent now, without a read before it.
fn sent(planner: &mut Planner, now: Instant) -> Option<i64> {
    match planner.next(now).unwrap() {
        Action::Send(row) => Some(row.seq),
        _ => None,
    }
}

#[test]
fn only_rows_that_are_not_in_memory_are_read() {
    let mut now = Instant::now();
    let mut planner = caught_up(true, &mut now);
    hand_over(&mut planner, row(1, "a"), &mut now);
    next_scan(&mut planner, &mut now);

    planner.positions(&[1, 2], now);

    assert!(matches!(next(&mut planner, &mut now), Action::Read(wanted) if wanted == [2]));
}

#[test]
fn after_a_failed_read_the_table_is_read_from_its_first_row() {
    for has_other_writers in [false, true] {
        let mut now = Instant::now();
        let mut planner = planner(has_other_writers, now);
        assert_eq!(next_scan(&mut planner, &mut now), 0);
        let page: Vec<i64> = (1..=i64::from(SCAN_LIMIT)).collect();
        planner.positions(&page, now);
        while let Action::Read(wanted) = next_but_sends(&mut planner, &mut now) {
            let rows = wanted.iter().map(|seq| row(*seq, &seq.to_string()));
            planner.rows(rows.collect(), now);
        }

        assert!(planner.read_failed(now));

        // The read that failed is repeated.
        assert_eq!(next_scan(&mut planner, &mut now), i64::from(SCAN_LIMIT));
        planner.positions(&[], now);
        assert_eq!(next_scan(&mut planner, &mut now), 0);
        planner.positions(&page, now);
        assert_eq!(next_scan(&mut planner, &mut now), i64::from(SCAN_LIMIT));
    }
}

fn next_but_sends(planner: &mut Planner, now: &mut Instant) -> Action {
    loop {
        match next(planner, now) {
            Action::Send(_) => {}
            action => return action,
        }
    }
}

#[test]
fn after_a_block_is_lifted_the_table_is_read_from_its_first_row() {
    let mut now = Instant::now();
    let mut planner = planner(false, now);
    next_scan(&mut planner, &mut now);
    found(&mut planner, vec![row(1, "a"), row(2, "b")], &mut now);
    next_scan(&mut planner, &mut now);
    planner.positions(&[], now);
    planner.acknowledged(2, now);
    while planner.publish_failed(1, now) == PublishFailure::RetryScheduled {
        let is_sent = |action| matches!(action, Action::Send(row) if row.seq == 1);
        while !is_sent(next(&mut planner, &mut now)) {
            planner.positions(&[], now);
        }
    }
    assert_eq!(planner.blocked_keys(), 1);
    let lifted_at = now + RETRY_AFTER;
    let mut scans = Vec::new();

    while now < lifted_at {
        scans.push(next_scan(&mut planner, &mut now));
        if now < lifted_at {
            planner.positions(&[], now);
        }
    }

    // The scan before is not the periodic one of the whole table.
    assert!(scans.ends_with(&[2, 0]), "{scans:?}");
    found(&mut planner, vec![row(1, "a")], &mut now);
    assert_eq!(sent(&mut planner, now), Some(1));
}

/// Reads rows of as many keys until the window is full; returns the last of them.
fn fill_the_window(planner: &mut Planner, now: &mut Instant) -> i64 {
    let mut read = 0;
    while !planner.window.is_full() {
        match next_but_sends(planner, now) {
            Action::Scan(query) => {
                let page = query.after + 1..=query.after + i64::from(SCAN_LIMIT);
                planner.positions(&page.collect::<Vec<_>>(), *now);
            }
            Action::Read(wanted) => {
                read = *wanted.last().unwrap();
                let rows = wanted.iter().map(|seq| row(*seq, &seq.to_string()));
                planner.rows(rows.collect(), *now);
            }
            action => panic!("{action:?}"),
        }
        assert!(!planner.takes_rows());
    }
    while sent(planner, *now).is_some() {}
    read
}

#[test]
fn a_scan_that_found_the_window_full_is_continued_and_takes_no_handed_over_row_before() {
    let mut now = Instant::now();
    let mut planner = planner(false, now);
    let read = fill_the_window(&mut planner, &mut now);

    planner.acknowledged(1, now);

    assert_eq!(next_scan(&mut planner, &mut now), read);
    planner.positions(&[], now);
    assert!(planner.takes_rows());
}

#[test]
fn keys_are_retried_also_when_so_many_are_blocked_that_no_other_row_has_room() {
    let mut now = Instant::now();
    let mut planner = planner(false, now);
    let read = fill_the_window(&mut planner, &mut now);
    for seq in 1..=read {
        while planner.publish_failed(seq, now) == PublishFailure::RetryScheduled {}
    }
    assert_eq!(planner.blocked_keys(), planner.window.rows());
    assert!(planner.window.is_full());

    let mut scanned = None;
    let retried_by = now + RETRY_AFTER + Duration::from_secs(2);
    while now < retried_by && scanned.is_none() {
        match planner.next(now).unwrap() {
            Action::Renew => renew(&mut planner, now),
            Action::Rest { until, .. } => now = until,
            Action::Scan(query) => scanned = Some(query.after),
            action => panic!("{action:?}"),
        }
    }

    assert_eq!(scanned, Some(0));
}

#[test]
fn a_handed_over_row_is_sent_without_a_read() {
    for has_other_writers in [false, true] {
        let mut now = Instant::now();
        let mut planner = caught_up(has_other_writers, &mut now);

        hand_over(&mut planner, row(1, "a"), &mut now);
        assert_eq!(sent(&mut planner, now), Some(1));
        hand_over(&mut planner, row(2, "b"), &mut now);
        assert_eq!(sent(&mut planner, now), Some(2));
    }
}

#[test]
fn before_the_table_was_read_no_handed_over_row_is_taken() {
    let mut now = Instant::now();
    let mut planner = planner(true, now);
    assert!(!planner.takes_rows());
    next_scan(&mut planner, &mut now);
    assert!(!planner.takes_rows());
    planner.positions(&[], now);
    assert!(planner.takes_rows());
}

#[test]
fn a_handed_over_row_waits_for_its_predecessor_in_memory() {
    let mut now = Instant::now();
    let mut planner = caught_up(true, &mut now);
    hand_over(&mut planner, row(1, "a"), &mut now);
    assert_eq!(sent(&mut planner, now), Some(1));

    hand_over(&mut planner, after(1, row(2, "a")), &mut now);

    assert_eq!(sent(&mut planner, now), None);
    planner.acknowledged(1, now);
    assert_eq!(sent(&mut planner, now), Some(2));
}

#[test]
fn a_handed_over_row_whose_predecessor_is_unknown_is_read_from_the_table_after_it() {
    let mut now = Instant::now();
    let mut planner = caught_up(true, &mut now);
    hand_over(&mut planner, row(7, "b"), &mut now);
    assert_eq!(sent(&mut planner, now), Some(7));

    hand_over(&mut planner, after(5, row(8, "a")), &mut now);

    assert!(!planner.takes_rows());
    assert!(next_scan(&mut planner, &mut now) < 5);
    planner.positions(&[5, 7, 8], now);
    assert!(matches!(next(&mut planner, &mut now), Action::Read(wanted) if wanted == [5, 8]));
    planner.rows(vec![row(5, "a"), after(5, row(8, "a"))], now);
    assert_eq!(sent(&mut planner, now), Some(5));
    assert_eq!(sent(&mut planner, now), None);
}

#[test]
fn a_row_that_is_handed_over_after_it_was_read_and_published_is_not_sent_again() {
    let mut now = Instant::now();
    let mut planner = planner(true, now);
    let began = now + Duration::from_micros(1);
    next_scan(&mut planner, &mut now);
    found(&mut planner, vec![row(1, "a")], &mut now);
    assert_eq!(sent(&mut planner, now), Some(1));
    planner.acknowledged(1, now);
    next_scan(&mut planner, &mut now);
    planner.positions(&[], now);

    let row = row(1, "a");
    planner.handed_over(vec![CommittedRow { row, began }], now);

    assert_eq!(sent(&mut planner, now), None);
}

/// The previous owner of the shard may have published it.
#[test]
fn a_row_whose_transaction_began_before_its_shard_was_claimed_is_read_from_the_table() {
    let mut now = Instant::now();
    let began = now;
    let mut planner = caught_up(true, &mut now);

    let row = row(3, "a");
    planner.handed_over(vec![CommittedRow { row, began }], now);

    assert_eq!(sent(&mut planner, now), None);
    assert!(next_scan(&mut planner, &mut now) < 3);
}

#[test]
fn a_handed_over_row_of_a_shard_that_is_not_held_is_left_to_its_owner() {
    let mut now = Instant::now();
    let mut planner = Planner::new(true, now);
    let shards: Vec<Shard> = Shard::all()
        .filter(|shard| *shard != Shard::of("a"))
        .collect();
    let grant = LeaseGrant {
        fair_share: shards.len(),
        shards,
        ends: None,
    };
    planner.renewed(grant, now).unwrap();
    next_scan_of(&mut planner, now);
    planner.positions(&[], now);

    hand_over(&mut planner, row(1, "a"), &mut now);

    assert_eq!(sent(&mut planner, now), None);
    assert!(planner.takes_rows(), "no scan is requested");
}

fn next_scan_of(planner: &mut Planner, now: Instant) {
    let action = planner.next(now).unwrap();
    assert!(matches!(action, Action::Scan(_)), "{action:?}");
}

/// Another program has written the rows between.
#[test]
fn with_one_writer_a_handed_over_row_that_leaves_a_gap_is_read_from_the_table() {
    let mut now = Instant::now();
    let mut planner = caught_up(false, &mut now);
    hand_over(&mut planner, row(1, "a"), &mut now);
    assert_eq!(sent(&mut planner, now), Some(1));

    hand_over(&mut planner, row(3, "a"), &mut now);

    assert_eq!(next_scan(&mut planner, &mut now), 1);
    found(&mut planner, vec![row(2, "a"), row(3, "a")], &mut now);
    planner.acknowledged(1, now);
    assert_eq!(sent(&mut planner, now), Some(2));
}

#[test]
fn rows_that_were_not_handed_over_are_read_at_once() {
    let mut now = Instant::now();
    let mut planner = caught_up(true, &mut now);
    let before = now;

    planner.not_handed_over(40, now);

    assert!(next_scan(&mut planner, &mut now) < 40);
    assert_eq!(now, before);
}

/// A shard can be released between two reads of a scan.
#[test]
fn a_row_of_a_shard_that_was_released_since_its_position_was_read_is_not_sent() {
    let mut now = Instant::now();
    let mut planner = planner(true, now);
    next_scan(&mut planner, &mut now);
    planner.positions(&[1, 2], now);
    planner.released(&[Shard::of("a")]);

    planner.rows(vec![row(1, "a"), row(2, "b")], now);

    assert_eq!(sent(&mut planner, now), Some(2));
    assert_eq!(sent(&mut planner, now), None);
}
