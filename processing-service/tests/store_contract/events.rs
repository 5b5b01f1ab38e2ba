//! Outbox and inbox rows.

use processing_service::domain::{OrderId, SagaEvent, SagaState};
use processing_service::store::{Opening, Recorded};
use uuid::Uuid;

use crate::support::fixture::{
    TRACEPARENT, captured, cause, event_id, on_every_database, order, shipped,
};

#[tokio::test]
async fn events_of_an_order_are_numbered_from_one_without_gaps() {
    on_every_database(&[("A", 10)], async |shop| {
        let fulfilled = order(&[("A", 1)]);
        let cancelled = order(&[("A", 1)]);

        shop.fulfil(&fulfilled).await;
        shop.reserve(&cancelled).await;
        shop.advance(&cancelled, SagaEvent::CancellationRequested)
            .await;
        shop.advance(&cancelled, SagaEvent::PaymentUndone).await;

        let expected = [
            (1, "StockReserved"),
            (2, "PaymentCaptured"),
            (3, "OrderFulfilled"),
        ];
        assert_eq!(shop.announced(&fulfilled).await, expected);
        assert_eq!(
            shop.announced(&cancelled).await,
            [(1, "StockReserved"), (2, "OrderCancelled")]
        );
    })
    .await;
}

#[tokio::test]
async fn the_inbox_row_comes_with_the_final_state_and_not_before() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);

        shop.reserve(&order).await;
        shop.advance(&order, captured()).await;
        let before = shop.inbox().await;
        shop.advance(&order, shipped(&order)).await;

        assert!(before.is_empty());
        assert_eq!(shop.inbox().await, [event_id(order.id)]);
    })
    .await;
}

#[tokio::test]
async fn acknowledging_twice_writes_one_inbox_row() {
    on_every_database(&[], async |shop| {
        let order_id = OrderId::new(Uuid::now_v7());

        shop.store.acknowledge(cause(order_id)).await.unwrap();
        shop.store.acknowledge(cause(order_id)).await.unwrap();

        assert_eq!(shop.inbox().await, [event_id(order_id)]);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_was_acknowledged_before_can_still_end_its_saga() {
    on_every_database(&[], async |shop| {
        let order = order(&[("A", 1)]);
        shop.store.acknowledge(cause(order.id)).await.unwrap();

        let recorded = shop.open(&order, Opening::Cancel).await;

        assert_eq!(recorded, Recorded::New(SagaState::Cancelled));
        assert_eq!(shop.inbox().await, [event_id(order.id)]);
    })
    .await;
}

#[tokio::test]
async fn a_published_event_carries_the_trace_of_its_cause() {
    on_every_database(&[("A", 10)], async |shop| {
        shop.reserve(&order(&[("A", 3)])).await;

        let headers = shop.headers().await;
        let traceparent = kafka::headers::text(&headers[0], "traceparent");
        assert_eq!(traceparent, Some(TRACEPARENT));
    })
    .await;
}
