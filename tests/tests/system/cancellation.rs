//! Cancellation races with processing: the first to commit wins, and the effects of the loser are compensated.

use anyhow::Result;
use proto::orders::v1::OrderStatus;
use tests::system::{Draft, STOCK, Service, Stock, System, eventually};
use tonic::Code;
use tonic_types::StatusExt as _;

/// Long enough for the second of two waiting events to be read while the payment of the first is in flight.
const UNHURRIED_PAYMENT: (Service, &str, &str) = (Service::Processing, "PAYMENT_LATENCY", "500ms");

#[tokio::test(flavor = "multi_thread")]
async fn an_order_cancelled_before_it_is_processed_leaves_the_stock_untouched() -> Result<()> {
    let system = System::start_with(&[UNHURRIED_PAYMENT]).await?;
    system.stop(Service::Processing).await?;
    let order = system.place_order(&Draft::of("MUG", 2)).await?;

    let answer = system.cancel(&order.order_id).await?;
    system.restart(Service::Processing).await?;

    assert_eq!(answer.status(), OrderStatus::CancelRequested);
    ends_cancelled_with_stock_untouched(&system, &order.order_id).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_cancelled_during_payment_is_refunded() -> Result<()> {
    let system = System::start().await?;
    let draft = Draft::of("MUG", 2).paid_with("tok_slow");
    let order = system.place_order(&draft).await?;
    eventually("processing has begun", async || {
        let status = system.order(&order.order_id).await?.status();
        Ok((status == OrderStatus::Processing).then_some(()))
    })
    .await?;

    system.cancel(&order.order_id).await?;

    ends_cancelled_with_stock_untouched(&system, &order.order_id).await?;
    assert_ne!(
        system.payment(&order.order_id).await?.as_deref(),
        Some("CAPTURED")
    );
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fulfilled_order_cannot_be_cancelled() -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 2)).await?;
    system.watch_until_final(&order.order_id).await?;

    let refused = system.cancel(&order.order_id).await;

    let status = refused.expect_err("the order is final");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.reason, "ORDER_IS_FINAL");
    assert!(
        info.metadata
            .values()
            .any(|value| value.contains("FULFILLED")),
        "{info:?}"
    );
    assert_eq!(
        system.order(&order.order_id).await?.status(),
        OrderStatus::Fulfilled
    );
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_cancellation_returns_the_first_answer() -> Result<()> {
    let system = System::start_with(&[UNHURRIED_PAYMENT]).await?;
    system.stop(Service::Processing).await?;
    let order = system.place_order(&Draft::of("MUG", 2)).await?;

    let first = system.cancel(&order.order_id).await?;
    let second = system.cancel(&order.order_id).await?;
    system.restart(Service::Processing).await?;
    ends_cancelled_with_stock_untouched(&system, &order.order_id).await?;
    let third = system.cancel(&order.order_id).await?;

    assert_eq!(second, first);
    assert_eq!(third.status(), OrderStatus::Cancelled);
    system.finish().await
}

async fn ends_cancelled_with_stock_untouched(system: &System, order_id: &str) -> Result<()> {
    system.watch_until_final(order_id).await?;
    let order = system.order(order_id).await?;
    assert_eq!(order.status(), OrderStatus::Cancelled);
    let (mug, opening) = STOCK[0];
    let untouched = Stock {
        available: i64::try_from(opening)?,
        ..Stock::default()
    };
    assert_eq!(system.stock(mug).await?, untouched);
    Ok(())
}
