//! Events published or applied out of sequence.

use auditor::rules::ORDER_PER_KEY;
use auditor::topics::Bytes;

use super::books::{Books, OUTCOMES};
use super::{after, assert_found};

/// The classic seed: two events are swapped.
#[tokio::test]
async fn events_published_out_of_sequence_are_a_violation_with_their_position() {
    let mut books = Books::sound().await;
    let records = books.records(OUTCOMES);
    records.swap(0, 1);
    (records[0].offset, records[1].offset) = (0, 1);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        ORDER_PER_KEY,
        "invoice 536365) has event 2 (PaymentCaptured) after event 0 [processing.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn events_of_one_order_on_two_partitions_are_a_violation() {
    let mut books = Books::sound().await;
    let mut moved = books.records(OUTCOMES)[2].clone();
    books.lose(OUTCOMES, &super::books::id('d', '1'));
    moved.partition = 1;
    books.publish(OUTCOMES, moved);

    let verdict = books.audit().await;

    assert_found(&verdict, ORDER_PER_KEY, "has events on 2 partitions");
}

#[tokio::test]
async fn an_event_with_the_key_of_another_order_is_a_violation() {
    let mut books = Books::sound().await;
    books.records(OUTCOMES)[0].key = Some(Bytes(b"another".to_vec()));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        ORDER_PER_KEY,
        "has an event under the key another",
    );
}

#[tokio::test]
async fn outcomes_applied_out_of_sequence_are_a_violation() {
    let verdict = after(
        "UPDATE order_events SET version = 9 WHERE event_id = x'b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1';
         UPDATE order_events SET version = 2 WHERE event_id = x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1';
         UPDATE order_events SET version = 3 WHERE event_id = x'b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1'",
    )
    .await;

    assert_found(
        &verdict,
        ORDER_PER_KEY,
        "has event 1 (StockReserved) at version 3, after event 2",
    );
}

#[tokio::test]
async fn a_gap_in_the_applied_outcomes_is_a_violation() {
    let verdict =
        after("UPDATE orders SET processing_sequence = 4 WHERE status = 'FULFILLED'").await;

    assert_found(
        &verdict,
        ORDER_PER_KEY,
        "has applied 3 outcomes up to number 3, but its last sequence is 4",
    );
}
