//! Orders and events that were not requested, or were refused.

use auditor::Limits;
use auditor::journal::{EndedCall, JournalLine};
use auditor::rules::NO_PHANTOM;
use auditor::topics::Bytes;
use prost::Message as _;
use proto::orders::v1::OrderPlaced;

use super::books::{Books, ORDERS, OUTCOMES, event};
use super::{after, assert_found};

/// Replaces the end of the first order's call.
fn end_first_call(books: &mut Books, end: fn(EndedCall) -> JournalLine) {
    let end = end(EndedCall {
        call: 1,
        at: 1,
        why: "INVALID_ARGUMENT".into(),
    });
    books.journal[1] = end;
}

#[tokio::test]
async fn an_order_whose_request_was_refused_is_a_violation() {
    let mut books = Books::sound().await;
    end_first_call(&mut books, JournalLine::Refused);

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_PHANTOM,
        "(request f1f1f1f1-f1f1-f1f1-f1f1-f1f1f1f1f1f1, invoice 536365) exists, but its request was refused",
    );
}

#[tokio::test]
async fn an_order_of_a_call_with_unknown_outcome_is_not_a_violation() {
    let mut books = Books::sound().await;
    end_first_call(&mut books, JournalLine::Unknown);

    let verdict = books.audit().await;

    assert!(verdict.is_ok(), "{verdict}");
    assert_eq!(verdict.unknown, 1);
    let counted = verdict.counted(NO_PHANTOM, "of calls that ended unknown");
    assert_eq!(counted, Some(1));
}

#[tokio::test]
async fn an_order_without_a_call_is_a_violation_unless_other_clients_exist() {
    let mut books = Books::sound().await;
    books.journal.drain(0..4);

    let strict = books.audit().await;
    let lenient = books
        .audit_within(Limits {
            has_other_clients: true,
            ..Limits::default()
        })
        .await;

    assert_found(&strict, NO_PHANTOM, "exists, but was not requested");
    assert!(lenient.is_ok(), "{lenient}");
    assert_eq!(lenient.unknown, 1);
}

#[tokio::test]
async fn a_cancellation_without_a_call_is_a_violation() {
    let mut books = Books::sound().await;
    books.journal.retain(|line| !matches!(line, JournalLine::Invoked(it) if matches!(it.what, auditor::journal::Asked::Cancel { .. })));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_PHANTOM,
        "has a cancellation that was not requested",
    );
}

#[tokio::test]
async fn an_order_that_matches_none_of_its_calls_is_a_violation() {
    let mut books = Books::sound().await;
    end_first_call(&mut books, JournalLine::Unknown);
    let JournalLine::Invoked(invoked) = &mut books.journal[0] else {
        panic!("the first line begins the first call");
    };
    let auditor::journal::Asked::Place(intent) = &mut invoked.what else {
        panic!("the first call places an order");
    };
    intent.total = 1;

    let verdict = books.audit().await;

    assert_found(&verdict, NO_PHANTOM, "matches none of its calls");
}

#[tokio::test]
async fn a_history_without_an_order_is_a_violation() {
    let verdict = after(
        "INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at) VALUES
           (x'55555555555555555555555555555555', 1, randomblob(16), 'OrderPlaced', 'ACCEPTED', 0)",
    )
    .await;

    assert_found(
        &verdict,
        NO_PHANTOM,
        "order 55555555-5555-5555-5555-555555555555 has a history but does not exist",
    );
}

#[tokio::test]
async fn an_effect_without_an_order_is_a_violation() {
    let verdict = after(
        "INSERT INTO processing.sagas VALUES (x'55555555555555555555555555555555', 'CANCELLED', NULL, 1, x'', 0)",
    )
    .await;

    assert_found(&verdict, NO_PHANTOM, "was processed but never placed");
}

#[tokio::test]
async fn an_event_that_was_never_committed_is_a_violation() {
    for (topic, name, words) in [
        (
            ORDERS,
            "OrderPlaced",
            "is published, but is not in the order's history",
        ),
        (
            OUTCOMES,
            "StockReserved",
            "is published, but there is no saga",
        ),
    ] {
        let mut books = Books::sound().await;
        books.publish(topic, event('a', '5', name, 1));

        let verdict = books.audit().await;

        assert_found(&verdict, NO_PHANTOM, words);
        assert_found(&verdict, NO_PHANTOM, &format!("[{topic}/0@"));
    }
}

#[tokio::test]
async fn an_order_published_with_another_content_is_a_violation() {
    let mut books = Books::sound().await;
    let payload = &mut books.records(ORDERS)[0].payload;
    let mut placed = OrderPlaced::decode(&*payload.as_ref().unwrap().0).unwrap();
    placed.lines[0].quantity = 7;
    *payload = Some(Bytes(placed.encode_to_vec()));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        NO_PHANTOM,
        "is published with other lines or another total than ordered [orders.order.events.v1/0@0]",
    );
}
