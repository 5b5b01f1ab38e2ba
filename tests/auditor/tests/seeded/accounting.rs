//! Unfinished orders, unpublished events, and events in the retry store.

use auditor::Limits;
use auditor::rules::{ACCOUNTING, NO_LOSS};
use auditor::topics::{Bytes, DumpedRecord};

use super::books::{Books, ORDERS, OUTCOMES, event};
use super::{after, assert_found};

const LETTERS: &str = proto::topics::ORDER_EVENTS_DEAD_LETTERS;

/// The fulfilled order's event as a dead letter.
fn letter(origin: i64) -> DumpedRecord {
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

const RETRY_EVENT: &str = "
    INSERT INTO processing.retry_events (topic, partition, record_offset, record_timestamp, key, headers, payload, state, fault_class,
        fault_message, attempts, rounds, redrives, stored_at)
    VALUES ('orders.order.events.v1', 0, 0, 0, CAST('01010101-0101-0101-0101-010101010101' AS BLOB), x'', x'', 'STATE',
        'rejected', 'no', 1, 0, 0, 0);
    UPDATE orders SET status = 'ACCEPTED' WHERE status = 'FULFILLED';
    DELETE FROM processing.sagas WHERE state = 'FULFILLED';";

async fn with_retry_event(state: &str) -> Books {
    let books = Books::sound().await;
    let sql = RETRY_EVENT.replace("STATE", state);
    books.change(Box::leak(sql.into_boxed_str())).await;
    books
}

#[tokio::test]
async fn an_unconfirmed_order_that_is_not_final_is_a_violation() {
    let mut books = Books::sound().await;
    books
        .change("UPDATE orders SET status = 'PROCESSING' WHERE status = 'FULFILLED'")
        .await;
    books.journal.remove(1);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "is PROCESSING and was not confirmed, and is not final: its outcome OrderFulfilled is published but not applied",
    );
}

#[tokio::test]
async fn an_event_in_an_outbox_is_a_violation() {
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
async fn an_event_that_waits_for_a_retry_is_a_violation() {
    let verdict = with_retry_event("WAITING").await.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "has an event in the retry store of processing-service as WAITING (rejected: no) [orders.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn a_dead_event_is_accounted_for_and_limited() {
    let mut books = with_retry_event("DEAD").await;
    books.publish(LETTERS, letter(0));
    let none = Limits {
        set_aside: Some(0),
        ..Limits::default()
    };

    let any = books.audit().await;
    let none = books.audit_within(none).await;

    assert_eq!(
        any.counted(ACCOUNTING, "orders with events in a retry store"),
        Some(1)
    );
    assert!(any.violations_of(ACCOUNTING).is_empty(), "{any}");
    assert!(any.violations_of(NO_LOSS).is_empty(), "{any}");
    assert_found(
        &none,
        ACCOUNTING,
        "1 orders have events in a retry store, at most 0 allowed",
    );
    assert_found(
        &none,
        ACCOUNTING,
        "is not final: its event is in the retry store of processing-service as DEAD [orders.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn a_dead_event_whose_dead_letter_was_refused_needs_none() {
    let books = with_retry_event("DEAD").await;
    books
        .change("UPDATE processing.retry_events SET fault_class = 'unpublished'")
        .await;

    let verdict = books.audit().await;

    let found = verdict.violations_of(ACCOUNTING);
    let mut found = found.iter();
    assert!(!found.any(|violation| violation.contains("no dead letter")));
}

#[tokio::test]
async fn a_dead_event_without_a_dead_letter_is_a_violation() {
    let verdict = with_retry_event("DEAD").await.audit().await;

    assert_found(
        &verdict,
        ACCOUNTING,
        "is DEAD in the retry store of processing-service, but has no dead letter",
    );
}

#[tokio::test]
async fn a_dead_letter_that_differs_from_its_record_is_a_violation() {
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
async fn a_dead_letter_alone_does_not_account_for_an_order() {
    let mut books = with_retry_event("DEAD").await;
    books.change("DELETE FROM processing.retry_events").await;
    books.publish(LETTERS, letter(0));
    books.lose(OUTCOMES, &super::books::id('d', '1'));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_LOSS,
        "its event is on the topic, but there is no saga",
    );
}
