//! What is left over.

use auditor::Limits;
use auditor::rules::{ACCOUNTING, NO_LOSS};
use auditor::topics::{Bytes, TopicRecord};

use super::books::{Books, ORDERS, OUTCOMES, event};
use super::{after, assert_found};

const LETTERS: &str = proto::topics::ORDER_EVENTS_DEAD_LETTERS;

/// The fulfilled order's event as a dead letter.
fn letter(origin: i64) -> TopicRecord {
    let mut letter = event('a', '1', "OrderPlaced", 1);
    let headers = [
        ("x-dlq-original-topic", ORDERS.to_owned()),
        ("x-dlq-original-partition", "0".to_owned()),
        ("x-dlq-original-offset", origin.to_string()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), Bytes(value.into_bytes())));
    letter.headers.extend(headers);
    letter
}

const PARKED: &str = "
    CREATE TABLE IF NOT EXISTS processing.parked (
        id INTEGER PRIMARY KEY, topic, partition, record_offset, record_timestamp, key, ordering_key, headers, payload, state,
        fault_class, fault_message, attempts, first_failed_at, last_failed_at, rounds, redrives, next_attempt_at, claimed_by,
        claimed_until, stored_at);
    INSERT INTO processing.parked (topic, partition, record_offset, record_timestamp, key, headers, payload, state, fault_class,
        fault_message, attempts, rounds, redrives, stored_at)
    VALUES ('orders.order.events.v1', 0, 0, 0, CAST('01010101-0101-0101-0101-010101010101' AS BLOB), x'', x'', 'STATE',
        'rejected', 'no', 1, 0, 0, 0);
    UPDATE orders SET status = 'ACCEPTED' WHERE status = 'FULFILLED';
    DELETE FROM processing.sagas WHERE state = 'FULFILLED';";

async fn with_stored(state: &str) -> Books {
    let books = Books::sound().await;
    let sql = PARKED.replace("STATE", state);
    books.change(Box::leak(sql.into_boxed_str())).await;
    books
}

#[tokio::test]
async fn an_order_that_was_confirmed_to_nobody_and_is_left_over_is_found() {
    let mut books = Books::sound().await;
    books
        .change("UPDATE orders SET status = 'PROCESSING' WHERE status = 'FULFILLED'")
        .await;
    books.journal.remove(1);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "is PROCESSING and was not confirmed, and is left over: its outcome OrderFulfilled is published but not applied",
    );
}

#[tokio::test]
async fn an_event_that_waits_in_an_outbox_is_found() {
    let of_orders = after(
        "INSERT INTO main.outbox (topic, key, headers, payload, created_at)
         VALUES ('t', '01010101-0101-0101-0101-010101010101', x'', x'', 0)",
    )
    .await;
    let of_processing = after(
        "INSERT INTO processing.outbox (topic, key, headers, payload, created_at)
         VALUES ('t', 'no order', x'', x'', 0)",
    )
    .await;

    assert_found(
        &of_orders,
        ACCOUNTING,
        "invoice 536365) order-service: 1 events were never published",
    );
    assert_found(
        &of_processing,
        ACCOUNTING,
        "processing-service: 1 events were never published",
    );
}

#[tokio::test]
async fn an_event_that_still_waits_to_be_tried_again_is_found() {
    let verdict = with_stored("WAITING").await.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "has an event that is still parked at processing-service as WAITING (rejected: no) [orders.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn an_order_that_was_given_up_is_accounted_for_and_bounded() {
    let mut books = with_stored("DEAD").await;
    books.publish(LETTERS, letter(0));
    let none = Limits {
        set_aside: Some(0),
        ..Limits::default()
    };

    let any = books.audit().await;
    let none = books.audit_within(none).await;

    assert_eq!(any.counted(ACCOUNTING, "set aside"), Some(1));
    assert!(any.violations_of(ACCOUNTING).is_empty(), "{any}");
    assert!(any.violations_of(NO_LOSS).is_empty(), "{any}");
    assert_found(
        &none,
        ACCOUNTING,
        "1 orders are set aside, at most 0 may be",
    );
    assert_found(
        &none,
        ACCOUNTING,
        "did not come to its end: its event is parked at processing-service as DEAD [orders.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn an_event_that_was_given_up_and_is_no_dead_letter_is_found() {
    let verdict = with_stored("DEAD").await.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "was given up by processing-service, but is no dead letter",
    );
}

#[tokio::test]
async fn a_dead_letter_that_is_not_the_record_it_came_from_is_found() {
    let mut books = Books::sound().await;
    let mut other = letter(0);
    other.payload = Some(Bytes(Vec::new()));
    books.publish(LETTERS, other);
    books.publish(LETTERS, letter(77));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "has a dead letter with another key or value than its record at orders.order.events.v1/0@0",
    );
    assert_found(
        &verdict,
        ACCOUNTING,
        "has a dead letter of no record: orders.order.events.v1/0@77",
    );
}

#[tokio::test]
async fn a_dead_letter_is_no_excuse_for_an_order_that_is_in_the_retry_store_no_more() {
    let mut books = with_stored("DEAD").await;
    books.change("DELETE FROM processing.parked").await;
    books.publish(LETTERS, letter(0));
    books.lose(OUTCOMES, &super::books::id('d', '1'));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_LOSS,
        "its event is on the topic, but there is no saga",
    );
}
