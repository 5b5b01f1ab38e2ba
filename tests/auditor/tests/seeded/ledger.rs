//! Money and pieces that do not add up.

use auditor::rules::EFFECT_ONCE;

use super::{after, assert_found};

async fn is_found(change: &'static str, words: &str) {
    assert_found(&after(change).await, EFFECT_ONCE, words);
}

#[tokio::test]
async fn an_order_processed_with_other_lines_is_found() {
    is_found(
        "UPDATE processing.sagas SET lines = x'' WHERE state = 'FULFILLED'",
        "was processed with other lines than were ordered",
    )
    .await;
}

#[tokio::test]
async fn a_wrong_amount_is_found_for_its_order_in_its_event_and_in_the_sum() {
    let change =
        "UPDATE processing.payments SET minor_units = minor_units + 1 WHERE state = 'CAPTURED'";

    let verdict = after(change).await;

    for words in [
        "costs 765 GBP, but 766 GBP were captured",
        "has a payment of 766 GBP, but 765 GBP were announced (minor units) [processing.order.events.v1/0@1]",
        "766 GBP were captured, but fulfilled orders cost 765 (minor units)",
    ] {
        assert_found(&verdict, EFFECT_ONCE, words);
    }
}

#[tokio::test]
async fn money_that_was_captured_for_nothing_is_found() {
    is_found(
        "INSERT INTO processing.payments VALUES (randomblob(16), 'capture', 'CAPTURED', 'EUR', 5, 0)",
        "5 EUR were captured, but fulfilled orders cost 0 (minor units)",
    )
    .await;
}

#[tokio::test]
async fn a_piece_that_vanished_is_found() {
    is_found(
        "UPDATE processing.stock SET available = available - 1",
        "SKU 85123A: 96 available, 0 reserved and 3 shipped pieces do not add up to the opening stock of 100",
    )
    .await;
}

#[tokio::test]
async fn a_leaked_reservation_is_found() {
    is_found(
        "UPDATE processing.stock SET available = available - 2, reserved = 2",
        "SKU 85123A: 2 pieces are reserved, but orders under way hold 0",
    )
    .await;
}

#[tokio::test]
async fn a_piece_shipped_twice_is_found() {
    is_found(
        "UPDATE processing.stock SET available = available - 3, shipped = shipped + 3",
        "SKU 85123A: 6 pieces are shipped, but fulfilled orders asked for 3",
    )
    .await;
}

#[tokio::test]
async fn a_shipment_from_no_stock_is_found() {
    is_found(
        "DELETE FROM processing.stock",
        "SKU 85123A: 3 pieces were shipped of what was never in stock",
    )
    .await;
}
