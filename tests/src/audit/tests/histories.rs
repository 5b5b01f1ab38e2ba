//! Rules between what was confirmed, what order-service holds, and what its history says.

use super::assert_found;
use super::books::Books;

#[tokio::test]
async fn a_lost_order_is_found() {
    assert_found(
        "DELETE FROM orders WHERE status = 'CANCELLED'",
        "order 33333333-3333-3333-3333-333333333333 (invoice 536367) was confirmed but is not in the database",
    )
    .await;
}

#[tokio::test]
async fn one_order_for_two_requests_is_found() {
    let books = Books::sound().await;
    books.confirm_again().await;

    let violations = books.audit().await.violations;

    assert!(
        violations
            .iter()
            .any(|it| it.contains("was confirmed for 2 requests")),
        "{violations:#?}"
    );
}

#[tokio::test]
async fn an_order_of_another_request_is_found() {
    assert_found(
        "UPDATE orders SET customer_id = 'somebody else' WHERE status = 'FULFILLED'",
        "belongs to another request than it was confirmed for",
    )
    .await;
}

#[tokio::test]
async fn an_order_that_is_not_final_is_found() {
    assert_found(
        "UPDATE orders SET status = 'ACCEPTED' WHERE status = 'CANCELLED'",
        "(invoice 536367) was confirmed but is still ACCEPTED",
    )
    .await;
}

#[tokio::test]
async fn an_outcome_that_changed_after_it_was_shown_is_found() {
    assert_found(
        "UPDATE orders SET rejection_reason = 'UNKNOWN_SKU' WHERE status = 'REJECTED'",
        "was shown as REJECTED PAYMENT_DECLINED but is REJECTED UNKNOWN_SKU",
    )
    .await;
}

#[tokio::test]
async fn a_second_final_event_is_found() {
    assert_found(
        "INSERT INTO order_events VALUES
           (x'11111111111111111111111111111111', 3, randomblob(16), 'OrderCancelled', 'CANCELLED', NULL, 0)",
        "(invoice 536365) is FULFILLED and has 2 final events",
    )
    .await;
}

#[tokio::test]
async fn a_missing_final_event_is_found() {
    assert_found(
        "DELETE FROM order_events WHERE event_type = 'OrderRejected'",
        "is REJECTED and has 0 final events",
    )
    .await;
}

#[tokio::test]
async fn a_hole_in_the_versions_is_found() {
    assert_found(
        "UPDATE order_events SET version = 4 WHERE event_type = 'OrderFulfilled'",
        "has 2 events with versions from 1 to 4",
    )
    .await;
}

#[tokio::test]
async fn a_history_that_begins_with_something_else_is_found() {
    assert_found(
        "UPDATE order_events SET event_type = 'StockReserved' WHERE version = 1",
        "has a history that begins with StockReserved",
    )
    .await;
}

#[tokio::test]
async fn an_order_that_differs_from_its_history_is_found() {
    assert_found(
        "UPDATE orders SET version = 7 WHERE status = 'FULFILLED'",
        "is FULFILLED at version 7, but its history ends with FULFILLED at version 2",
    )
    .await;
}

#[tokio::test]
async fn a_history_without_an_order_is_found() {
    assert_found(
        "INSERT INTO order_events VALUES
           (x'55555555555555555555555555555555', 1, randomblob(16), 'OrderPlaced', 'ACCEPTED', NULL, 0)",
        "order 55555555-5555-5555-5555-555555555555 has a history but does not exist",
    )
    .await;
}
