//! Confirmed orders that are missing, differ from their request, or are not final.

use auditor::journal::JournalLine;
use auditor::rules::NO_LOSS;

use super::books::{Books, ORDERS, OUTCOMES, id, order_id};
use super::{after, assert_found};

/// The classic seed: a confirmation of an order that was never stored.
#[tokio::test]
async fn a_confirmed_order_that_was_never_stored_is_a_violation_with_all_coordinates() {
    let mut books = Books::sound().await;
    books.confirm(9, "536399");

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_LOSS,
        &format!(
            "order {} (request {}, invoice 536399) was confirmed and is lost: it is not in the database of order-service",
            order_id('9'),
            id('f', '9'),
        ),
    );
}

/// The classic seed: one event is lost.
#[tokio::test]
async fn an_event_that_was_never_published_is_a_violation() {
    for (topic, event) in [(ORDERS, id('a', '1')), (OUTCOMES, id('c', '1'))] {
        let mut books = Books::sound().await;
        books.lose(topic, &event);

        let verdict = books.audit().await;

        let words = format!("is in its history, but is not on the topic {topic}");
        assert_found(&verdict, NO_LOSS, &words);
        assert_found(&verdict, NO_LOSS, &format!("order {}", order_id('1')));
    }
}

#[tokio::test]
async fn a_lost_order_is_a_violation() {
    let verdict = after("DELETE FROM orders WHERE status = 'CANCELLED'").await;

    assert_found(
        &verdict,
        NO_LOSS,
        "invoice 536367) was confirmed and is lost: it is not in the database of order-service, though its event is on the \
         topic [orders.order.events.v1/2@0]",
    );
}

#[tokio::test]
async fn the_violation_names_the_last_place_of_a_lost_order() {
    let open = "UPDATE orders SET status = 'ACCEPTED' WHERE status = 'FULFILLED';";
    let no_saga = "DELETE FROM processing.sagas WHERE state = 'FULFILLED';";
    let waits = "INSERT INTO main.outbox (topic, key, headers, payload, created_at)
                 SELECT 't', '01010101-0101-0101-0101-010101010101', x'', x'', 0;";
    let outcome_waits = "INSERT INTO processing.outbox (topic, key, headers, payload, created_at)
                 SELECT 't', '01010101-0101-0101-0101-010101010101', x'', x'', 0;";
    let stands = "UPDATE processing.sagas SET state = 'RESERVED' WHERE state = 'FULFILLED';";
    type Lost = &'static [(&'static str, char)];
    let cases: [(&[&'static str], Lost, &str); 7] = [
        (&[open], &[(ORDERS, 'a')], "its event is not on the topic"),
        (
            &[open, waits],
            &[(ORDERS, 'a')],
            "its event waits in the outbox of order-service",
        ),
        (
            &[open, no_saga],
            &[],
            "its event is on the topic, but there is no saga [orders.order.events.v1/0@0]",
        ),
        (&[open, stands], &[], "its saga is stuck at RESERVED"),
        (
            &[open],
            &[(OUTCOMES, 'd')],
            "its saga has ended, but its outcome is not on the topic",
        ),
        (
            &[open, outcome_waits],
            &[(OUTCOMES, 'd')],
            "its outcome waits in the outbox of processing-service",
        ),
        (
            &[open],
            &[],
            "its outcome OrderFulfilled is published but not applied [processing.order.events.v1/0@2]",
        ),
    ];
    for (changes, lost, words) in cases {
        let mut books = Books::sound().await;
        for change in changes {
            books.change(change).await;
        }
        for (topic, kind) in lost {
            books.lose(topic, &id(*kind, '1'));
        }

        let verdict = books.audit().await;

        let words = format!("was confirmed and is lost at ACCEPTED: {words}");
        assert_found(&verdict, NO_LOSS, &words);
    }
}

#[tokio::test]
async fn two_orders_for_one_request_are_a_violation() {
    let mut books = Books::sound().await;
    books.confirm_as(9, "536365", '1', '2');

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_LOSS,
        "is one of 2 that were confirmed for the same request",
    );
}

#[tokio::test]
async fn one_order_for_two_requests_is_a_violation() {
    let mut books = Books::sound().await;
    books.confirm_as(9, "536365", '2', '1');

    let verdict = books.audit().await;

    assert_found(&verdict, NO_LOSS, "was confirmed for 2 requests");
}

#[tokio::test]
async fn an_order_of_another_request_is_a_violation() {
    let verdict =
        after("UPDATE orders SET customer_id = 'another customer' WHERE status = 'FULFILLED'")
            .await;

    assert_found(
        &verdict,
        NO_LOSS,
        "belongs to another request than it was confirmed for",
    );
}

#[tokio::test]
async fn an_order_that_differs_from_its_request_is_a_violation() {
    let mut books = Books::sound().await;
    for line in &mut books.journal {
        if let JournalLine::Invoked(invoked) = line
            && let auditor::journal::Asked::Place(intent) = &mut invoked.what
        {
            intent.lines[0].1 = 7;
        }
    }

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_LOSS,
        "was confirmed for 765 GBP and lines [[\"85123A\",7,255]",
    );
}
