//! Failed steps: they leave no rows, report their cause, and do not fail other steps of their batch.

use processing_service::domain::{OrderId, SagaEvent, SagaState, ShipmentId};
use processing_service::store::{OpenSaga, Opening, Recorded, StoreError};
use uuid::Uuid;

use crate::support::fixture::{captured, cause, on_every_database, order};

#[tokio::test]
async fn a_step_that_fails_leaves_neither_state_nor_event() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.database.refuse_rows("outbox").await;

        let saga = OpenSaga::new(&order, Opening::Reserve);
        let failed = shop.store.open(saga, cause(order.id)).await;

        let error = failed.unwrap_err();
        assert!(matches!(error, StoreError::Database(_)), "{error:?}");
        assert!(!error.is_transient());
        assert_eq!(shop.saga(&order).await, None);
        assert_eq!(shop.stock("A").await, (10, 0, 0));
        assert!(shop.announced(&order).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_event_for_a_saga_that_was_never_opened_is_not_retried() {
    on_every_database(&[], async |shop| {
        let order_id = OrderId::new(Uuid::now_v7());

        let event = SagaEvent::Shipped(ShipmentId::of(order_id));
        let refused = shop
            .store
            .advance(order_id, vec![event], cause(order_id))
            .await;

        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::NoSaga(id) if id == order_id));
        assert!(!error.is_transient());
    })
    .await;
}

#[tokio::test]
async fn a_failing_step_does_not_fail_the_others_of_its_batch() {
    on_every_database(&[("A", 10)], async |shop| {
        let (good, stranger) = (order(&[("A", 3)]), order(&[("A", 3)]));
        shop.reserve(&good).await;

        let (advanced, refused) = tokio::join!(
            shop.store
                .advance(good.id, vec![captured()], cause(good.id)),
            shop.store
                .advance(stranger.id, vec![captured()], cause(stranger.id)),
        );

        assert_eq!(advanced.unwrap(), Recorded::New(SagaState::Captured));
        assert!(refused.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_damaged_saga_is_named_and_not_retried() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.reserve(&order).await;
        shop.database.damage_sagas().await;

        let refused = shop
            .store
            .advance(order.id, vec![captured()], cause(order.id))
            .await;

        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Damaged(id) if id == order.id));
        assert!(!error.is_transient());
    })
    .await;
}
