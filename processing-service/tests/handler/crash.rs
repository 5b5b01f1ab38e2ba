//! Orders that a crash interrupted, and events that are delivered again.

use super::paid_with;
use crate::support::desk::{at_every_desk, cancellation_of, placed};
use crate::support::fixture::captured;
use consumer::Failure;
use processing_service::domain::{SagaState, Step};

#[tokio::test]
async fn an_order_is_resumed_after_a_crash_between_any_two_commits() {
    let steps = [Step::Reserve, Step::Capture];
    for crash_after in 0..=steps.len() {
        at_every_desk(&[("A", 10)], async |desk| {
            let order = paid_with("tok_approved");
            for step in &steps[..crash_after] {
                desk.take(*step, &order).await;
            }

            desk.handle(placed(&order), &[]).await.unwrap();

            let fulfilled = Some(SagaState::Fulfilled);
            assert_eq!(desk.shop.saga(&order).await, fulfilled, "{crash_after}");
            assert_eq!(desk.shop.stock("A").await, (7, 0, 3), "{crash_after}");
            assert_eq!(desk.shop.announced(&order).await.len(), 3, "{crash_after}");
            assert_eq!(desk.gateway.captures(), 1, "{crash_after}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_order_that_an_earlier_release_left_captured_is_shipped() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.capture_alone(&order).await;
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Captured));

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(desk.gateway.captures(), 1);
    })
    .await;
}

/// Two commits: one before the call of the provider, one after it.
#[tokio::test]
async fn payment_and_shipment_of_an_order_are_one_commit() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.shop.database.refuse_rows("shipments").await;

        let failure = desk.handle(placed(&order), &[]).await;

        assert!(failure.is_err(), "{failure:?}");
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Reserved));
        assert_eq!(desk.shop.payment(&order).await, None);
        assert_eq!(desk.shop.announced(&order).await, [(1, "StockReserved")]);
    })
    .await;
}

#[tokio::test]
async fn a_capture_whose_record_was_lost_in_a_crash_is_not_made_twice() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        let lost = desk.capture_without_recording(&order).await;

        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(
            desk.shop.capture_id(&order).await,
            Some(lost.as_str().to_owned())
        );
    })
    .await;
}

#[tokio::test]
async fn a_crash_between_refund_and_record_still_ends_in_the_cancellation() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.shop.advance(&order, captured()).await;
        desk.gateway.fail_refunds(1);
        let cancelled = desk
            .handle(placed(&order), &[cancellation_of(&order)])
            .await;
        assert!(matches!(cancelled, Err(Failure::Retry(_))), "{cancelled:?}");

        // The event is redelivered before the cancellation is consumed again.
        desk.handle(placed(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_order_does_not_end_while_money_may_still_be_charged() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_unavailable");
        desk.gateway.fail_refunds(1);

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)));
        assert!(!desk.shop.saga(&order).await.unwrap().is_final());

        desk.handle(placed(&order), &[]).await.unwrap();
        assert!(desk.shop.saga(&order).await.unwrap().is_final());
    })
    .await;
}

#[tokio::test]
async fn an_event_delivered_again_changes_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        for _ in 0..3 {
            desk.handle(placed(&order), &[]).await.unwrap();
        }

        assert_eq!(desk.shop.stock("A").await, (7, 0, 3));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(
            (desk.gateway.captures(), desk.shop.inbox().await.len()),
            (1, 1)
        );
    })
    .await;
}
