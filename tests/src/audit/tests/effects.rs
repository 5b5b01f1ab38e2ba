//! Rules between what order-service says and what processing-service did: sagas, money, stock, shipments, events.

use super::assert_found;

#[tokio::test]
async fn a_saga_that_ended_otherwise_is_found() {
    assert_found(
        "UPDATE processing.sagas SET state = 'CANCELLED', reason = NULL WHERE state = 'REJECTED'",
        "is REJECTED PAYMENT_DECLINED, but processing has it as CANCELLED",
    )
    .await;
    assert_found(
        "DELETE FROM processing.sagas WHERE state = 'CANCELLED'",
        "is CANCELLED, but processing has it as unknown",
    )
    .await;
}

#[tokio::test]
async fn an_effect_without_an_order_is_found() {
    assert_found(
        "INSERT INTO processing.sagas VALUES (x'55555555555555555555555555555555', 'CANCELLED', NULL, 1, x'', 0)",
        "was processed but never placed",
    )
    .await;
}

#[tokio::test]
async fn a_fulfilled_order_without_payment_is_found() {
    assert_found(
        "DELETE FROM processing.payments WHERE state = 'CAPTURED'",
        "is FULFILLED, but its payment is missing",
    )
    .await;
    assert_found(
        "UPDATE processing.payments SET state = 'REFUNDED'",
        "is FULFILLED, but its payment is REFUNDED",
    )
    .await;
}

#[tokio::test]
async fn a_payment_that_was_not_given_back_is_found() {
    assert_found(
        "UPDATE processing.payments SET state = 'CAPTURED'",
        "(invoice 536367) is CANCELLED, but its payment is captured and not refunded",
    )
    .await;
}

#[tokio::test]
async fn a_fulfilled_order_without_shipment_is_found() {
    assert_found(
        "DELETE FROM processing.shipments",
        "(invoice 536365) is FULFILLED, but was not shipped",
    )
    .await;
}

#[tokio::test]
async fn a_shipment_of_an_order_that_was_not_fulfilled_is_found() {
    assert_found(
        "INSERT INTO processing.shipments VALUES (x'22222222222222222222222222222222', 'shipment', 0)",
        "(invoice 536366) is REJECTED, but was shipped",
    )
    .await;
}

#[tokio::test]
async fn a_wrong_amount_is_found() {
    assert_found(
        "UPDATE processing.payments SET minor_units = minor_units + 1 WHERE state = 'CAPTURED'",
        "costs 765 GBP, but 766 GBP were captured",
    )
    .await;
}

#[tokio::test]
async fn an_order_processed_with_other_lines_is_found() {
    assert_found(
        "UPDATE processing.sagas SET lines = x'' WHERE state = 'FULFILLED'",
        "was processed with other lines than were ordered",
    )
    .await;
}

#[tokio::test]
async fn a_piece_that_vanished_is_found() {
    assert_found(
        "UPDATE processing.stock SET available = available - 1",
        "SKU 85123A: 96 available, 0 reserved and 3 shipped pieces do not add up to the opening stock of 100",
    )
    .await;
}

#[tokio::test]
async fn a_leaked_reservation_is_found() {
    assert_found(
        "UPDATE processing.stock SET available = available - 2, reserved = 2",
        "SKU 85123A: 2 pieces are reserved, but orders under way hold 0",
    )
    .await;
}

#[tokio::test]
async fn a_piece_shipped_twice_is_found() {
    assert_found(
        "UPDATE processing.stock SET available = available - 3, shipped = shipped + 3",
        "SKU 85123A: 6 pieces are shipped, but fulfilled orders asked for 3",
    )
    .await;
}

#[tokio::test]
async fn a_shipment_from_no_stock_is_found() {
    assert_found(
        "DELETE FROM processing.stock",
        "SKU 85123A: 3 pieces were shipped of what was never in stock",
    )
    .await;
}

#[tokio::test]
async fn an_event_that_was_never_published_is_found() {
    assert_found(
        "INSERT INTO main.outbox (topic, key, headers, payload, created_at) VALUES ('t', 'k', x'', x'', 0)",
        "order-service: 1 events were never published, one of them of order k",
    )
    .await;
    assert_found(
        "INSERT INTO processing.outbox (topic, key, headers, payload, created_at) VALUES ('t', 'k', x'', x'', 0)",
        "processing-service: 1 events were never published, one of them of order k",
    )
    .await;
}
