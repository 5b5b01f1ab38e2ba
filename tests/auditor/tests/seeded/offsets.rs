//! Offsets committed too far, or not far enough.

use auditor::Limits;
use auditor::rules::OFFSETS;
use auditor::topics::Bytes;

use super::assert_found;
use super::books::{Books, ORDERS, OUTCOMES, event};

/// The classic seed: one offset is committed too far, here beyond the end, in the next tests beyond unfinished work.
#[tokio::test]
async fn an_offset_beyond_the_end_is_a_violation() {
    let mut books = Books::sound().await;
    let partition = books.partition(ORDERS, 1);
    *partition.committed.get_mut("processing-service").unwrap() += 1;

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        OFFSETS,
        "processing-service has committed 2, but the partition ends here [orders.order.events.v1/1@1]",
    );
}

#[tokio::test]
async fn an_offset_beyond_an_unprocessed_order_is_a_violation() {
    let books = Books::sound().await;
    books
        .change("UPDATE processing.sagas SET state = 'RESERVED' WHERE state = 'FULFILLED'")
        .await;

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        OFFSETS,
        "OrderPlaced is committed by processing-service, but its saga is RESERVED [orders.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn an_offset_beyond_an_unapplied_outcome_is_a_violation() {
    let mut books = Books::sound().await;
    books.publish(OUTCOMES, event('9', '1', "StockReserved", 4));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        OFFSETS,
        "StockReserved is committed by order-service, but is not in the order's history [processing.order.events.v1/0@3]",
    );
}

#[tokio::test]
async fn an_offset_beyond_an_undecodable_record_is_a_violation() {
    let mut books = Books::sound().await;
    let mut poison = event('9', '1', "StockReserved", 4);
    poison.payload = Some(Bytes(vec![0xff; 8]));
    books.publish(OUTCOMES, poison);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        OFFSETS,
        "is committed by order-service, but neither in the retry store nor a dead letter",
    );
}

#[tokio::test]
async fn an_undecodable_record_that_was_deleted_unread_needs_no_dead_letter() {
    let mut books = Books::sound().await;
    let mut poison = event('9', '1', "StockReserved", 4);
    poison.payload = Some(Bytes(vec![0xff; 8]));
    books.publish(OUTCOMES, poison);
    let partition = books.partition(OUTCOMES, 0);
    partition.deleted_unread = vec![0..1, partition.end - 1..partition.end];

    let verdict = books.audit().await;

    assert!(verdict.is_ok(), "{verdict}");
}

#[tokio::test]
async fn an_uncommitted_record_is_a_violation_only_after_a_clean_stop() {
    let mut books = Books::sound().await;
    let partition = books.partition(OUTCOMES, 0);
    *partition.committed.get_mut("order-service").unwrap() -= 1;
    books.partition(OUTCOMES, 1).committed.clear();
    let stopped = Limits {
        stopped_cleanly: true,
        ..Limits::default()
    };

    let running = books.audit().await;
    let stopped = books.audit_within(stopped).await;

    assert!(running.is_ok(), "{running}");
    assert_found(
        &stopped,
        OFFSETS,
        "the records from here to 3 are not committed [processing.order.events.v1/0@2]",
    );
    assert_found(&stopped, OFFSETS, "[processing.order.events.v1/1@0]");
}
