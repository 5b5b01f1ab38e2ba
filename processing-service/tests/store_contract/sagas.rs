//! Sagas: each step is applied once and in order, and a saga is resumed from every state.

use processing_service::domain::{Abandonment, RejectionReason, SagaEvent, SagaState};
use processing_service::store::{OpenSaga, Opening, Recorded};

use crate::support::fixture::{captured, cause, on_every_database, order, shipped};

#[tokio::test]
async fn the_intent_to_compensate_is_stored_before_any_refund_or_release() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.reserve(&order).await;

        shop.advance(&order, SagaEvent::PaymentUnavailable).await;

        let reason = RejectionReason::PaymentUnavailable;
        let state = SagaState::Compensating(Abandonment::Rejected(reason));
        assert_eq!(shop.saga(&order).await, Some(state));
        assert_eq!(shop.stock("A").await, (7, 3, 0));
        assert!(shop.inbox().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_same_event_again_changes_nothing() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.fulfil(&order).await;
        let announced = shop.announced(&order).await;

        let reserved = shop.reserve(&order).await;
        let captured = shop.advance(&order, captured()).await;
        let shipped = shop.advance(&order, shipped(&order)).await;

        assert_eq!(
            [reserved, captured, shipped],
            [Recorded::Duplicate(SagaState::Fulfilled); 3]
        );
        assert_eq!(shop.stock("A").await, (7, 0, 3));
        assert_eq!(shop.announced(&order).await, announced);
        assert_eq!(shop.inbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_saga_is_resumed_from_every_state() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        let steps = [captured(), shipped(&order)];
        let states = [
            SagaState::Reserved,
            SagaState::Captured,
            SagaState::Fulfilled,
        ];
        shop.reserve(&order).await;

        for (step, state) in steps.into_iter().zip(states) {
            assert_eq!(shop.reserve(&order).await, Recorded::Duplicate(state));
            shop.advance(&order, step).await;
        }

        assert_eq!(
            shop.reserve(&order).await,
            Recorded::Duplicate(SagaState::Fulfilled)
        );
    })
    .await;
}

#[tokio::test]
async fn a_step_out_of_turn_changes_nothing() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.reserve(&order).await;

        let recorded = shop.advance(&order, shipped(&order)).await;

        assert_eq!(recorded, Recorded::Duplicate(SagaState::Reserved));
        assert_eq!(shop.stock("A").await, (7, 3, 0));
        assert_eq!(shop.shipments().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_payment_that_is_captured_and_undone_in_one_batch_is_refunded() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        let step = |event| shop.store.advance(order.id, vec![event], cause(order.id));

        let saga = OpenSaga::new(&order, Opening::Reserve);
        let (_, _, _, last) = tokio::join!(
            shop.store.open(saga, cause(order.id)),
            step(captured()),
            step(SagaEvent::CancellationRequested),
            step(SagaEvent::PaymentUndone),
        );

        assert_eq!(last.unwrap(), Recorded::New(SagaState::Cancelled));
        let refunded = Some(("REFUNDED".to_owned(), 255));
        assert_eq!(shop.payment(&order).await, refunded);
        assert_eq!(shop.stock("A").await, (10, 0, 0));
        assert_eq!(shop.announced(&order).await.len(), 3);
    })
    .await;
}
