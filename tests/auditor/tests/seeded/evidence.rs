//! Incomplete evidence.

use auditor::journal::JournalLine;
use auditor::rules::EVIDENCE;

use super::assert_found;
use super::books::{Books, ORDERS, OUTCOMES};

#[tokio::test]
async fn a_record_missing_from_the_dump_is_a_violation() {
    for lost in [0, 1, 2] {
        let mut books = Books::sound().await;
        books.records(OUTCOMES).remove(lost);

        let verdict = books.audit().await;

        assert_found(
            &verdict,
            EVIDENCE,
            "the dump has 2 of 3 records of a partition",
        );
    }
}

#[tokio::test]
async fn records_deleted_by_the_broker_are_a_violation() {
    let mut books = Books::sound().await;
    for record in books.records(ORDERS) {
        record.offset += 10;
    }
    for partition in 0..3 {
        let partition = books.partition(ORDERS, partition);
        (partition.low, partition.end) = (10, partition.end + 10);
        partition
            .committed
            .values_mut()
            .for_each(|offset| *offset += 10);
    }

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        EVIDENCE,
        "the dump has 1 of 11 records of a partition, from 10 on",
    );
}

#[tokio::test]
async fn a_topic_missing_from_the_dump_is_a_violation() {
    let mut books = Books::sound().await;
    books
        .partitions
        .retain(|partition| partition.topic != ORDERS);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        EVIDENCE,
        "the dump has no partition of the topic orders.order.events.v1",
    );
}

#[tokio::test]
async fn a_call_that_ends_twice_or_without_a_start_is_a_violation() {
    let mut books = Books::sound().await;
    let again = books.journal[1].clone();
    books.journal.push(again);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        EVIDENCE,
        "ends call 1, which has not started or has ended already",
    );
}

#[tokio::test]
async fn a_read_that_ends_before_it_starts_is_a_violation() {
    let mut books = Books::sound().await;
    for line in &mut books.journal {
        if let JournalLine::Read(reading) = line {
            reading.ended = reading.begun - 1;
        }
    }

    let verdict = books.audit().await;

    assert_found(&verdict, EVIDENCE, "was read from 4 to 3 (line 3)");
}

#[tokio::test]
async fn a_truncated_last_line_is_counted_and_not_a_violation() {
    let mut books = Books::sound().await;
    books.journal_tail = "{\"invoked\":{\"call\":";

    let verdict = books.audit().await;

    assert!(verdict.is_ok(), "{verdict}");
    assert_eq!(verdict.counted(EVIDENCE, "unfinished lines"), Some(1));
}

#[tokio::test]
async fn an_unreadable_line_is_an_error() {
    let mut books = Books::sound().await;
    books.journal_tail = "{\"invoked\":{\"call\":\n{}\n";

    let error = books.try_audit().await.unwrap_err();

    assert!(format!("{error:#}").contains("of the journal"), "{error:#}");
}
