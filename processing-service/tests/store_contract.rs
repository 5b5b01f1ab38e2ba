//! The rules of the store, one test each, against `dyn ProcessingStore`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/fixture.rs"]
mod fixture;

use fixture::{Fixture, captured, cause, event_id, order, shipped};
use processing_service::domain::{
    Abandonment, Order, OrderId, RejectionReason, SagaEvent, SagaState, ShipmentId,
};
use processing_service::store::{OpenSaga, Opening, Recorded, StoreError};
use proto::event::ProcessingEvent;
use uuid::Uuid;

const OUT_OF_STOCK: SagaState = SagaState::Rejected(RejectionReason::OutOfStock);

#[tokio::test]
async fn reserving_moves_pieces_from_available_to_reserved() {
    let shop = Fixture::with_stock(&[("A", 10), ("B", 5)]).await;

    let recorded = shop.reserve(&order(&[("A", 3), ("B", 5), ("A", 1)])).await;

    assert_eq!(recorded, Recorded::New(SagaState::Reserved));
    assert_eq!(shop.stock("A").await, (6, 4, 0));
    assert_eq!(shop.stock("B").await, (0, 5, 0));
}

#[tokio::test]
async fn shipping_moves_pieces_from_reserved_to_shipped() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;

    shop.fulfil(&order(&[("A", 3)])).await;

    assert_eq!(shop.stock("A").await, (7, 0, 3));
    assert_eq!(shop.shipments().await, 1);
}

#[tokio::test]
async fn the_last_piece_is_sold_once_however_many_want_it_at_once() {
    let shop = Fixture::with_stock(&[("A", 1)]).await;
    let orders: Vec<Order> = (0..20).map(|_| order(&[("A", 1)])).collect();

    let mut waiting = tokio::task::JoinSet::new();
    for order in orders {
        let store = shop.store.clone();
        waiting.spawn(async move {
            let saga = OpenSaga::new(&order, Opening::Reserve);
            store.open(saga, cause(order.id)).await.unwrap().state()
        });
    }
    let states = waiting.join_all().await;

    let reserved = states
        .iter()
        .filter(|&&state| state == SagaState::Reserved)
        .count();
    let refused = states
        .iter()
        .filter(|&&state| state == OUT_OF_STOCK)
        .count();
    assert_eq!((reserved, refused), (1, 19));
    assert_eq!(shop.stock("A").await, (0, 1, 0));
}

#[tokio::test]
async fn an_order_that_cannot_be_met_in_full_takes_nothing() {
    let shop = Fixture::with_stock(&[("A", 10), ("B", 1)]).await;
    let short = order(&[("A", 3), ("B", 2)]);

    let recorded = shop.reserve(&short).await;

    assert_eq!(recorded, Recorded::New(OUT_OF_STOCK));
    assert_eq!(shop.stock("A").await, (10, 0, 0));
    assert_eq!(shop.announced(&short).await, [(1, "OrderRejected")]);
}

#[tokio::test]
async fn an_unknown_sku_is_a_rejection_that_names_it() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let unknown = order(&[("A", 1), ("Z", 1)]);

    let recorded = shop.reserve(&unknown).await;

    assert_eq!(
        recorded.state(),
        SagaState::Rejected(RejectionReason::UnknownSku)
    );
    let events = shop.events(&unknown).await;
    let ProcessingEvent::OrderRejected(rejected) = &events[0].event else {
        panic!("{events:?}");
    };
    assert_eq!(
        rejected.reason(),
        proto::orders::v1::RejectionReason::UnknownSku
    );
    assert_eq!(rejected.sku, "Z");
}

#[tokio::test]
async fn a_declined_payment_gives_the_stock_back() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;

    let recorded = shop.advance(&order, SagaEvent::PaymentDeclined).await;

    assert_eq!(
        recorded,
        Recorded::New(SagaState::Rejected(RejectionReason::PaymentDeclined))
    );
    assert_eq!(shop.stock("A").await, (10, 0, 0));
}

#[tokio::test]
async fn a_cancelled_capture_gives_stock_and_money_back() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;
    shop.advance(&order, captured()).await;
    assert_eq!(
        shop.payment(&order).await,
        Some(("CAPTURED".to_owned(), 255))
    );

    shop.advance(&order, SagaEvent::CancellationRequested).await;
    let recorded = shop.advance(&order, SagaEvent::PaymentUndone).await;

    assert_eq!(recorded, Recorded::New(SagaState::Cancelled));
    assert_eq!(shop.stock("A").await, (10, 0, 0));
    assert_eq!(
        shop.payment(&order).await,
        Some(("REFUNDED".to_owned(), 255))
    );
}

#[tokio::test]
async fn the_intent_to_compensate_is_stored_before_anything_is_given_back() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;

    shop.advance(&order, SagaEvent::PaymentUnavailable).await;

    let reason = RejectionReason::PaymentUnavailable;
    let state = SagaState::Compensating(Abandonment::Rejected(reason));
    assert_eq!(shop.saga(&order).await, Some(state));
    assert_eq!(shop.stock("A").await, (7, 3, 0));
    assert!(shop.inbox().await.is_empty());
}

#[tokio::test]
async fn the_same_event_again_changes_nothing() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
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
}

#[tokio::test]
async fn a_saga_is_resumed_from_every_state() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
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
}

#[tokio::test]
async fn a_step_out_of_turn_changes_nothing() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;

    let recorded = shop.advance(&order, shipped(&order)).await;

    assert_eq!(recorded, Recorded::Duplicate(SagaState::Reserved));
    assert_eq!(shop.stock("A").await, (7, 3, 0));
    assert_eq!(shop.shipments().await, 0);
}

#[tokio::test]
async fn events_of_an_order_are_numbered_from_one_without_gaps() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
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
}

#[tokio::test]
async fn the_inbox_row_comes_with_the_final_state_and_not_before() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);

    shop.reserve(&order).await;
    shop.advance(&order, captured()).await;
    let before = shop.inbox().await;
    shop.advance(&order, shipped(&order)).await;

    assert!(before.is_empty());
    assert_eq!(shop.inbox().await, [event_id(order.id)]);
}

#[tokio::test]
async fn a_step_that_fails_leaves_neither_state_nor_event() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.tamper(
        "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    )
    .await;

    let saga = OpenSaga::new(&order, Opening::Reserve);
    let failed = shop.store.open(saga, cause(order.id)).await;

    assert!(failed.unwrap_err().is_transient());
    assert_eq!(shop.saga(&order).await, None);
    assert_eq!(shop.stock("A").await, (10, 0, 0));
    assert!(shop.announced(&order).await.is_empty());
}

#[tokio::test]
async fn a_cancellation_before_the_first_step_touches_no_stock() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);

    let recorded = shop.open(&order, Opening::Cancel).await;

    assert_eq!(recorded, Recorded::New(SagaState::Cancelled));
    assert_eq!(shop.stock("A").await, (10, 0, 0));
    assert_eq!(shop.announced(&order).await, [(1, "OrderCancelled")]);
    assert_eq!(
        shop.reserve(&order).await,
        Recorded::Duplicate(SagaState::Cancelled)
    );
}

#[tokio::test]
async fn an_event_for_a_saga_that_was_never_opened_is_refused_for_good() {
    let shop = Fixture::with_stock(&[]).await;
    let order_id = OrderId::new(Uuid::now_v7());

    let event = SagaEvent::Shipped(ShipmentId::of(order_id));
    let refused = shop.store.advance(order_id, event, cause(order_id)).await;

    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::NoSaga(id) if id == order_id));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_bad_order_does_not_fail_its_neighbours_in_the_batch() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let (good, stranger) = (order(&[("A", 3)]), order(&[("A", 3)]));
    shop.reserve(&good).await;

    let (advanced, refused) = tokio::join!(
        shop.store.advance(good.id, captured(), cause(good.id)),
        shop.store
            .advance(stranger.id, captured(), cause(stranger.id)),
    );

    assert_eq!(advanced.unwrap(), Recorded::New(SagaState::Captured));
    assert!(refused.is_err());
}

#[tokio::test]
async fn stock_that_vanished_is_never_shipped() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;
    shop.advance(&order, captured()).await;
    shop.tamper("UPDATE stock SET available = 10, reserved = 0")
        .await;

    let refused = shop
        .store
        .advance(order.id, shipped(&order), cause(order.id))
        .await;

    assert!(matches!(refused.unwrap_err(), StoreError::StockChanged));
    assert_eq!(shop.saga(&order).await, Some(SagaState::Captured));
}

#[tokio::test]
async fn a_saga_that_cannot_be_read_is_named_and_not_tried_again() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;
    shop.tamper("UPDATE sagas SET lines = x'FF'").await;

    let refused = shop
        .store
        .advance(order.id, captured(), cause(order.id))
        .await;

    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(id) if id == order.id));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn seeding_again_adds_what_is_new_and_leaves_the_rest_alone() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;
    shop.reserve(&order(&[("A", 3)])).await;

    let added = shop.seed(&[("A", 99), ("B", 5)]).await;

    assert_eq!(added, 1);
    assert_eq!(shop.stock("A").await, (7, 3, 0));
    assert_eq!(shop.stock("B").await, (5, 0, 0));
}

#[tokio::test]
async fn acknowledging_twice_remembers_the_event_once() {
    let shop = Fixture::with_stock(&[]).await;
    let order_id = OrderId::new(Uuid::now_v7());

    shop.store.acknowledge(cause(order_id)).await.unwrap();
    shop.store.acknowledge(cause(order_id)).await.unwrap();

    assert_eq!(shop.inbox().await, [event_id(order_id)]);
}

#[tokio::test]
async fn an_announcement_carries_the_trace_of_what_caused_it() {
    let shop = Fixture::with_stock(&[("A", 10)]).await;

    shop.reserve(&order(&[("A", 3)])).await;

    let headers = shop.headers().await;
    let traceparent = chassis::headers::text(&headers[0], "traceparent");
    assert_eq!(traceparent, Some(fixture::TRACEPARENT));
}
