//! The hand-over alone: how returned rows are matched, and what happens when the queue is full.

use super::*;

fn record(key: &str, event: &str) -> Arc<OutboxRecord> {
    Arc::new(OutboxRecord {
        topic: "events".into(),
        key: key.to_owned(),
        headers: Vec::new(),
        payload: event.as_bytes().to_vec(),
    })
}

fn returned(seq: i64, key: &str, predecessor: Option<i64>) -> ReturnedRow {
    (seq, key.to_owned(), predecessor)
}

/// Rows with keys of their own at these positions.
fn rows(seqs: impl Iterator<Item = i64> + Clone) -> InsertedRows {
    let records = seqs.clone().map(|seq| record(&seq.to_string(), "placed"));
    let pending = PendingRows::new(records);
    pending.inserted(
        seqs.map(|seq| returned(seq, &seq.to_string(), None))
            .collect(),
    )
}

fn taken(hand_over: &HandOver) -> Vec<i64> {
    match hand_over.take(usize::MAX) {
        Taken::Rows(rows) => rows.iter().map(|taken| taken.row.seq).collect(),
        Taken::ReadFrom(seq) => panic!("rows from {seq} were dropped"),
    }
}

#[test]
fn returned_rows_are_matched_by_key_and_follow_each_other() {
    let records = [("a", "1"), ("b", "1"), ("a", "2"), ("new", "1"), ("a", "3")];
    let pending = PendingRows::new(records.map(|(key, event)| record(key, event)));

    // The database returns them in any order, and skipped the record of `new`.
    let inserted = pending.inserted(vec![
        returned(13, "a", Some(4)),
        returned(11, "b", None),
        returned(12, "a", Some(4)),
        returned(10, "a", Some(4)),
    ]);

    let row = |row: &OutboxRow| {
        let event = String::from_utf8_lossy(&row.record.payload).into_owned();
        (row.seq, row.record.key.clone(), event, row.predecessor)
    };
    let rows: Vec<_> = inserted.rows().iter().map(row).collect();
    let expected = [
        (10, "a", "1", Some(4)),
        (11, "b", "1", None),
        (12, "a", "2", Some(10)),
        (13, "a", "3", Some(12)),
    ];
    assert_eq!(
        rows,
        expected.map(|(seq, key, event, before)| (seq, key.to_owned(), event.to_owned(), before))
    );
}

#[test]
fn rows_are_taken_once_in_the_order_of_the_hand_overs() {
    let hand_over = HandOver::default();
    hand_over.committed(rows(3..=4));
    hand_over.committed(rows(1..=2));

    assert!(matches!(hand_over.take(1), Taken::Rows(rows) if rows[0].row.seq == 3));
    assert_eq!(taken(&hand_over), [4, 1, 2]);
    assert_eq!(taken(&hand_over), [0_i64; 0]);
}

#[test]
fn after_an_overflow_the_table_is_read_from_the_lowest_position_that_was_handed_over() {
    let hand_over = HandOver::bounded(4);
    hand_over.committed(rows(11..=13));
    hand_over.committed(rows(5..=6));
    // It would fit, but the relay reads it with the others.
    hand_over.committed(rows(3..=3));

    assert!(matches!(hand_over.take(1), Taken::ReadFrom(3)));
    hand_over.committed(rows(20..=20));
    assert_eq!(taken(&hand_over), [20]);
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let hand_over = HandOver::default();
    let large = |key: &str| {
        let mut record = OutboxRecord::clone(&record(key, ""));
        record.payload = vec![0; MAX_BYTES / 2];
        Arc::new(record)
    };
    let hand = |seq: i64| {
        let key = seq.to_string();
        let pending = PendingRows::new([large(&key)]);
        hand_over.committed(pending.inserted(vec![returned(seq, &key, None)]));
    };

    hand(1);
    assert_eq!(taken(&hand_over), [1]);
    hand(2);
    hand(3);

    assert!(matches!(hand_over.take(usize::MAX), Taken::ReadFrom(2)));
}
