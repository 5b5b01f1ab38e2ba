//! Effects that are duplicated, missing, or applied to another order.

use auditor::rules::EFFECT_ONCE;

use super::books::{Books, OUTCOMES, event};
use super::{after, assert_found};

async fn is_found(change: &'static str, words: &str) {
    assert_found(&after(change).await, EFFECT_ONCE, words);
}

/// The classic seed: one effect is duplicated.
#[tokio::test]
async fn an_event_applied_twice_is_a_violation_with_its_position() {
    let change = "
        UPDATE order_events SET version = version + 1
        WHERE order_id = x'01010101010101010101010101010101' AND version = 4;
        UPDATE order_events SET version = version + 1
        WHERE order_id = x'01010101010101010101010101010101' AND version = 3;
        INSERT INTO order_events SELECT order_id, 3, event_id, event_type, status, rejection_reason, occurred_at, NULL
        FROM order_events WHERE order_id = x'01010101010101010101010101010101' AND version = 2;
        UPDATE orders SET version = 5 WHERE status = 'FULFILLED'";

    let verdict = after(change).await;

    assert_found(
        &verdict,
        EFFECT_ONCE,
        "has the event StockReserved b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1b1 2 times in its history [processing.order.events.v1/0@0]",
    );
}

#[tokio::test]
async fn an_event_type_twice_in_a_history_is_a_violation() {
    is_found(
        "INSERT INTO order_events VALUES
           (x'01010101010101010101010101010101', 5, randomblob(16), 'StockReserved', 'PROCESSING', NULL, 0, NULL)",
        "has StockReserved 2 times in its history, as different events",
    )
    .await;
}

#[tokio::test]
async fn an_outcome_published_in_two_events_is_a_violation() {
    let mut books = Books::sound().await;
    books.publish(OUTCOMES, event('9', '1', "OrderFulfilled", 4));

    let verdict = books.audit().await;

    assert_found(
        &verdict,
        EFFECT_ONCE,
        "was published as OrderFulfilled in 2 different events",
    );
}

#[tokio::test]
async fn a_second_final_event_is_a_violation() {
    is_found(
        "INSERT INTO order_events VALUES
           (x'01010101010101010101010101010101', 5, randomblob(16), 'OrderCancelled', 'CANCELLED', NULL, 0, NULL)",
        "invoice 536365) is FULFILLED and has 2 final events",
    )
    .await;
}

#[tokio::test]
async fn a_missing_final_event_is_a_violation() {
    is_found(
        "DELETE FROM order_events WHERE event_type = 'OrderRejected'",
        "is REJECTED and has 0 final events",
    )
    .await;
}

#[tokio::test]
async fn a_gap_in_the_versions_is_a_violation() {
    is_found(
        "UPDATE order_events SET version = 6 WHERE event_type = 'OrderFulfilled'",
        "has 4 events with versions from 1 to 6",
    )
    .await;
}

#[tokio::test]
async fn a_history_that_does_not_begin_with_the_placement_is_a_violation() {
    is_found(
        "UPDATE order_events SET event_type = 'StockReserved' WHERE version = 1",
        "has a history that begins with StockReserved",
    )
    .await;
}

#[tokio::test]
async fn an_order_that_differs_from_its_history_is_a_violation() {
    is_found(
        "UPDATE orders SET version = 7 WHERE status = 'FULFILLED'",
        "is FULFILLED at version 7, but its history ends with FULFILLED at version 4",
    )
    .await;
}

#[tokio::test]
async fn a_history_entry_that_differs_from_its_event_is_a_violation() {
    is_found(
        "UPDATE order_events SET event_type = 'PaymentCaptured' WHERE event_id = x'b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2'",
        "has PaymentCaptured in its history, but the event is StockReserved [processing.order.events.v1/1@0]",
    )
    .await;
}

#[tokio::test]
async fn an_effect_without_an_inbox_row_is_a_violation_in_either_service() {
    is_found(
        "DELETE FROM main.inbox WHERE event_id = x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1'",
        "PaymentCaptured was applied without a row in the inbox of order-service",
    )
    .await;
    is_found(
        "DELETE FROM processing.inbox WHERE entity_id = x'01010101010101010101010101010101'",
        "has a saga that ended as FULFILLED without a row in the inbox of processing-service",
    )
    .await;
}

#[tokio::test]
async fn an_inbox_row_without_an_effect_is_a_violation_in_either_service() {
    is_found(
        "INSERT INTO main.inbox VALUES (randomblob(16), x'01010101010101010101010101010101', 4, 0)",
        "has an event in the inbox of order-service that is not in its history",
    )
    .await;
    is_found(
        "INSERT INTO processing.inbox VALUES (randomblob(16), x'55555555555555555555555555555555', 1, 0)",
        "has an event in the inbox of processing-service and no saga that has ended",
    )
    .await;
}

#[tokio::test]
async fn a_saga_that_ended_in_another_state_is_a_violation() {
    is_found(
        "UPDATE processing.sagas SET state = 'CANCELLED', reason = NULL WHERE state = 'REJECTED'",
        "is REJECTED PAYMENT_DECLINED, but processing has it as CANCELLED",
    )
    .await;
    is_found(
        "DELETE FROM processing.sagas WHERE state = 'CANCELLED'",
        "is CANCELLED, but processing has it as unknown",
    )
    .await;
}

#[tokio::test]
async fn a_fulfilled_order_without_payment_is_a_violation() {
    is_found(
        "DELETE FROM processing.payments WHERE state = 'CAPTURED'",
        "is FULFILLED, but its payment is missing",
    )
    .await;
    is_found(
        "UPDATE processing.payments SET state = 'REFUNDED'",
        "is FULFILLED, but its payment is REFUNDED",
    )
    .await;
}

#[tokio::test]
async fn a_payment_that_was_not_refunded_is_a_violation() {
    is_found(
        "UPDATE processing.payments SET state = 'CAPTURED'",
        "invoice 536367) is CANCELLED, but its payment is captured and not refunded",
    )
    .await;
}

#[tokio::test]
async fn a_fulfilled_order_without_shipment_is_a_violation() {
    is_found(
        "DELETE FROM processing.shipments",
        "invoice 536365) is FULFILLED, but was not shipped",
    )
    .await;
}

#[tokio::test]
async fn a_shipment_of_an_unfulfilled_order_is_a_violation() {
    is_found(
        "INSERT INTO processing.shipments VALUES (x'02020202020202020202020202020202', 'shipment', 0)",
        "invoice 536366) is REJECTED, but was shipped",
    )
    .await;
}
