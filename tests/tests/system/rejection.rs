//! An order that cannot be processed is rejected with its reason, and its effects are compensated.

use anyhow::{Context as _, Result};
use proto::orders::v1::{OrderStatus, RejectionReason};
use tests::system::{Draft, STOCK, Service, Stock, System};

/// Without the availability query: order-service would refuse the orders that are to be rejected here.
const UNASKED: (Service, &str, &str) = (Service::Orders, "AVAILABILITY_CHECK", "off");

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_releases_the_stock() -> Result<()> {
    let draft = Draft::of("MUG", 2).paid_with("tok_declined");

    let (system, history) = rejected(&draft, RejectionReason::PaymentDeclined).await?;

    assert!(
        history.contains(&"StockReserved".to_owned()),
        "stock was reserved before: {history:?}"
    );
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_payment_provider_rejects_the_order_after_the_maximum_attempts() -> Result<()>
{
    let draft = Draft::of("MUG", 2).paid_with("tok_unavailable");

    let (system, _) = rejected(&draft, RejectionReason::PaymentUnavailable).await?;

    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unknown_sku_rejects_the_whole_order() -> Result<()> {
    let draft = Draft::of("MUG", 2).and("UNICORN", 1);

    let (system, _) = rejected(&draft, RejectionReason::UnknownSku).await?;

    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn insufficient_stock_rejects_the_whole_order() -> Result<()> {
    let draft = Draft::of("MUG", 2).and("TEAPOT", 6);

    let (system, _) = rejected(&draft, RejectionReason::OutOfStock).await?;

    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_times_out_once_is_still_captured_once() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 2).paid_with("tok_timeout_once");
    let order = system.place_order(&draft).await?;

    system.watch_until_final(&order.order_id).await?;

    let order = system.order(&order.order_id).await?;
    assert_eq!(order.status(), OrderStatus::Fulfilled);
    assert_eq!(
        system.payment(&order.order_id).await?.as_deref(),
        Some("CAPTURED")
    );
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_never_oversold() -> Result<()> {
    let system = System::start_with(&[UNASKED]).await?;
    let mut orders = Vec::new();
    for _ in 0..8 {
        orders.push(system.place_order(&Draft::of("TEAPOT", 1)).await?);
    }

    let mut fulfilled = 0;
    for order in &orders {
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        match order.status() {
            OrderStatus::Fulfilled => fulfilled += 1,
            _ => assert_eq!(order.rejection_reason(), RejectionReason::OutOfStock),
        }
    }

    assert_eq!(fulfilled, 5);
    assert_eq!(system.stock("TEAPOT").await?.available, 0);
    system.finish().await
}

/// Places the order and requires its rejection for this reason, with unchanged stock and no payment.
async fn rejected(draft: &Draft, reason: RejectionReason) -> Result<(System, Vec<String>)> {
    let system = System::start_with(&[UNASKED]).await?;
    let order = system.place_order(draft).await?;

    let history = system.watch_until_final(&order.order_id).await?;

    let last = history.last().context("a history")?;
    assert_eq!(last.rejection_reason(), reason);
    let order = system.order(&order.order_id).await?;
    assert_eq!(order.status(), OrderStatus::Rejected);
    assert_eq!(order.rejection_reason(), reason);
    assert_eq!(system.payment(&order.order_id).await?, None);
    for (sku, opening) in STOCK {
        let untouched = Stock {
            available: i64::try_from(opening)?,
            ..Stock::default()
        };
        assert_eq!(system.stock(sku).await?, untouched);
    }
    let events = history.into_iter().map(|entry| entry.event_type).collect();
    Ok((system, events))
}
