//! Wrong balances of money and stock.

use auditor::rules::EFFECT_ONCE;

use super::{after, assert_found};

async fn is_found(change: &'static str, words: &str) {
    assert_found(&after(change).await, EFFECT_ONCE, words);
}

#[tokio::test]
async fn an_order_processed_with_other_lines_is_a_violation() {
    is_found(
        "UPDATE processing.sagas SET lines = x'' WHERE state = 'FULFILLED'",
        "was processed with other lines than ordered",
    )
    .await;
}

#[tokio::test]
async fn a_wrong_amount_violates_the_checks_of_order_event_and_sum() {
    let change =
        "UPDATE processing.payments SET minor_units = minor_units + 1 WHERE state = 'CAPTURED'";

    let verdict = after(change).await;

    for words in [
        "costs 765 GBP, but 766 GBP were captured",
        "has a payment of 766 GBP, but 765 GBP were published (minor units) [processing.order.events.v1/0@1]",
        "766 GBP were captured, but fulfilled orders cost 765 (minor units)",
    ] {
        assert_found(&verdict, EFFECT_ONCE, words);
    }
}

#[tokio::test]
async fn a_captured_payment_without_an_order_is_a_violation() {
    is_found(
        "INSERT INTO processing.payments VALUES (randomblob(16), 'capture', 'CAPTURED', 'EUR', 5, 0)",
        "5 EUR were captured, but fulfilled orders cost 0 (minor units)",
    )
    .await;
}

#[tokio::test]
async fn a_missing_piece_of_stock_is_a_violation() {
    is_found(
        "UPDATE processing.stock SET available = available - 1",
        "SKU 85123A: 96 available, 0 reserved and 3 shipped pieces differ from the opening stock of 100",
    )
    .await;
}

#[tokio::test]
async fn a_leaked_reservation_is_a_violation() {
    is_found(
        "UPDATE processing.stock SET available = available - 2, reserved = 2",
        "SKU 85123A: 2 pieces are reserved, but orders in progress have 0",
    )
    .await;
}

#[tokio::test]
async fn a_piece_shipped_twice_is_a_violation() {
    is_found(
        "UPDATE processing.stock SET available = available - 3, shipped = shipped + 3",
        "SKU 85123A: 6 pieces are shipped, but fulfilled orders have 3",
    )
    .await;
}

#[tokio::test]
async fn a_shipment_of_a_sku_without_stock_is_a_violation() {
    is_found(
        "DELETE FROM processing.stock",
        "SKU 85123A: 3 pieces were shipped of a SKU without stock",
    )
    .await;
}
