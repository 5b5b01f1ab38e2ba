//! The planner alone: where it reads after a failure, and after a key was unblocked.

use super::super::blocked::RETRY_AFTER;
use super::*;

/// Holds every shard.
fn planner(has_other_writers: bool, now: Instant) -> Planner {
    let mut planner = Planner::new(has_other_writers, now);
    renew(&mut planner, now);
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
        topic: "events".to_owned(),
        key: key.to_owned(),
        headers: Ok(Vec::new()),
        payload: Vec::new(),
    }
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

/// The next read; events to be sent before it stay in flight.
fn next_read(planner: &mut Planner, now: &mut Instant) -> RowQuery {
    loop {
        match next(planner, now) {
            Action::Read(query) => return query,
            Action::Send(_) => {}
            action => panic!("{action:?}"),
        }
    }
}

#[test]
fn after_a_failed_read_the_table_is_read_from_its_first_row() {
    for has_other_writers in [false, true] {
        let mut now = Instant::now();
        let mut planner = planner(has_other_writers, now);
        assert_eq!(next_read(&mut planner, &mut now).after, 0);
        let full = 1..=i64::from(READ_LIMIT);
        let rows = full.clone().map(|seq| row(seq, &seq.to_string()));
        planner.rows(rows.collect(), now);
        let second = next_read(&mut planner, &mut now);
        assert_eq!(second.after, i64::from(READ_LIMIT));

        assert!(planner.read_failed(now));

        let again = next_read(&mut planner, &mut now);
        assert_eq!(again.after, 0);
        assert_eq!(again.except, full.collect::<Vec<_>>());
    }
}

#[test]
fn after_a_block_is_lifted_the_table_is_read_from_its_first_row() {
    let mut now = Instant::now();
    let mut planner = planner(false, now);
    next_read(&mut planner, &mut now);
    planner.rows(vec![row(1, "a"), row(2, "b")], now);
    next_read(&mut planner, &mut now);
    planner.rows(Vec::new(), now);
    planner.acknowledged(2, now);
    while planner.publish_failed(1, now) == PublishFailure::RetryScheduled {
        let is_sent = |action| matches!(action, Action::Send(row) if row.seq == 1);
        while !is_sent(next(&mut planner, &mut now)) {
            planner.rows(Vec::new(), now);
        }
    }
    assert_eq!(planner.blocked_keys(), 1);
    let lifted_at = now + RETRY_AFTER;
    let mut reads = Vec::new();

    while now < lifted_at {
        let query = next_read(&mut planner, &mut now);
        reads.push(query.after);
        if now < lifted_at {
            planner.rows(Vec::new(), now);
        }
    }

    // The read before is not the periodic one of the whole table.
    assert!(reads.ends_with(&[2, 0]), "{reads:?}");
    planner.rows(vec![row(1, "a")], now);
    let sent = next(&mut planner, &mut now);
    assert!(
        matches!(&sent, Action::Send(row) if row.seq == 1),
        "{sent:?}"
    );
}
