//! A cancellation before, between and during the steps of an order, and orders that are published again.

use super::paid_with;
use crate::support::desk::{at_every_desk, cancellation_of, placed};
use kafka::record::Record;
use processing_service::domain::{SagaState, Step};
use proto::event::{Event as _, ProcessingEvent};
use proto::record;

#[tokio::test]
async fn a_cancellation_queued_before_the_first_step_wins() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(placed(&order), &[cancellation_of(&order)])
            .await
            .unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.announced(&order).await, [(1, "OrderCancelled")]);
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_of_another_order_changes_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        let other = cancellation_of(&paid_with("tok_approved"));

        desk.handle(placed(&order), &[other, Record::default()])
            .await
            .unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_during_the_capture_refunds_and_releases_everything() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;
        desk.capture_alone(&order).await;

        desk.handle(placed(&order), &[cancellation_of(&order)])
            .await
            .unwrap();
        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(
            desk.shop.payment(&order).await,
            Some(("REFUNDED".to_owned(), 255))
        );
        assert_eq!(desk.gateway.refunds(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_after_shipping_is_a_no_op() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.handle(placed(&order), &[]).await.unwrap();

        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
        assert_eq!(desk.shop.announced(&order).await.len(), 3);
        assert_eq!(desk.shop.inbox().await.len(), 2);
        assert_eq!(desk.gateway.refunds(), 0);
    })
    .await;
}

/// The outcomes of the order were lost: its open order at order-service is published again.
#[tokio::test]
async fn an_order_that_is_published_again_gets_its_outcomes_again_with_their_old_ids() {
    at_every_desk(&[("A", 10)], async |desk| {
        for (token, outcomes) in [("tok_approved", 3), ("tok_declined", 2)] {
            let order = paid_with(token);
            let mut again = placed(&order);
            let mut headers = again.headers.to_vec();
            record::mark_republished(&mut headers);
            again.headers = headers.into();
            let key = |received: &record::Received<ProcessingEvent>| {
                (
                    received.meta.id,
                    received.meta.sequence,
                    received.event.name(),
                )
            };

            // The first time it is only a new order.
            desk.handle(again.clone(), &[]).await.unwrap();
            let first: Vec<_> = desk.shop.events(&order).await.iter().map(key).collect();
            assert_eq!(first.len(), outcomes);
            desk.handle(placed(&order), &[]).await.unwrap();
            assert_eq!(
                desk.shop.events(&order).await.len(),
                outcomes,
                "a redelivery"
            );

            desk.handle(again, &[]).await.unwrap();

            let all: Vec<_> = desk.shop.events(&order).await.iter().map(key).collect();
            assert_eq!(all, [first.clone(), first].concat());
        }
        assert_eq!(desk.gateway.captures(), 2);
    })
    .await;
}

/// The event of the order was lost: its customer gets an answer, and the order does not start if the event comes after all.
#[tokio::test]
async fn a_cancellation_of_an_order_that_never_arrived_ends_it_and_its_late_event_starts_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");

        desk.handle(cancellation_of(&order), &[]).await.unwrap();
        desk.handle(placed(&order), &[]).await.unwrap();
        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.announced(&order).await, [(1, "OrderCancelled")]);
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
        assert_eq!(desk.gateway.captures(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_ends_an_order_that_stopped_between_steps() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.take(Step::Reserve, &order).await;

        desk.handle(cancellation_of(&order), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Cancelled));
        assert_eq!(desk.shop.stock("A").await, (10, 0, 0));
    })
    .await;
}
