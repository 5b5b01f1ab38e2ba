//! Stock moves; no piece is sold twice.

use std::collections::BTreeSet;

use processing_service::domain::{Order, RejectionReason, SagaEvent, SagaState, Sku};
use processing_service::store::{OpenSaga, Opening, Recorded, StoreError};
use proto::event::ProcessingEvent;

use crate::support::fixture::{captured, cause, on_every_database, order, shipped};

const OUT_OF_STOCK: SagaState = SagaState::Rejected(RejectionReason::OutOfStock);

#[tokio::test]
async fn reserving_moves_pieces_from_available_to_reserved() {
    on_every_database(&[("A", 10), ("B", 5)], async |shop| {
        let recorded = shop.reserve(&order(&[("A", 3), ("B", 5), ("A", 1)])).await;

        assert_eq!(recorded, Recorded::New(SagaState::Reserved));
        assert_eq!(shop.stock("A").await, (6, 4, 0));
        assert_eq!(shop.stock("B").await, (0, 5, 0));
    })
    .await;
}

#[tokio::test]
async fn shipping_moves_pieces_from_reserved_to_shipped() {
    on_every_database(&[("A", 10)], async |shop| {
        shop.fulfil(&order(&[("A", 3)])).await;

        assert_eq!(shop.stock("A").await, (7, 0, 3));
        assert_eq!(shop.shipments().await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_last_piece_is_sold_once_however_many_want_it_at_once() {
    on_every_database(&[("A", 1)], async |shop| {
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
    })
    .await;
}

#[tokio::test]
async fn an_order_that_cannot_be_met_in_full_reserves_nothing() {
    on_every_database(&[("A", 10), ("B", 1)], async |shop| {
        let short = order(&[("A", 3), ("B", 2)]);

        let recorded = shop.reserve(&short).await;

        assert_eq!(recorded, Recorded::New(OUT_OF_STOCK));
        assert_eq!(shop.stock("A").await, (10, 0, 0));
        assert_eq!(shop.announced(&short).await, [(1, "OrderRejected")]);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_sku_is_rejected_with_its_name() {
    on_every_database(&[("A", 10)], async |shop| {
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
    })
    .await;
}

#[tokio::test]
async fn a_declined_payment_gives_the_stock_back() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.reserve(&order).await;

        let recorded = shop.advance(&order, SagaEvent::PaymentDeclined).await;

        assert_eq!(
            recorded,
            Recorded::New(SagaState::Rejected(RejectionReason::PaymentDeclined))
        );
        assert_eq!(shop.stock("A").await, (10, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_capture_gives_stock_and_money_back() {
    on_every_database(&[("A", 10)], async |shop| {
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
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_before_the_first_step_touches_no_stock() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);

        let recorded = shop.open(&order, Opening::Cancel).await;

        assert_eq!(recorded, Recorded::New(SagaState::Cancelled));
        assert_eq!(shop.stock("A").await, (10, 0, 0));
        assert_eq!(shop.announced(&order).await, [(1, "OrderCancelled")]);
        assert_eq!(
            shop.reserve(&order).await,
            Recorded::Duplicate(SagaState::Cancelled)
        );
    })
    .await;
}

#[tokio::test]
async fn a_look_shows_the_stock_of_what_the_catalogue_has_and_holds_nothing() {
    on_every_database(&[("A", 10), ("B", 5), ("C", 1)], async |shop| {
        shop.reserve(&order(&[("A", 3)])).await;
        let skus = ["A", "B", "Z"].map(|sku| Sku::parse(sku).unwrap());

        let levels = shop.store.levels(&BTreeSet::from(skus)).await.unwrap();

        let mut seen: Vec<_> = levels
            .iter()
            .map(|(sku, level)| (sku.as_str(), level.available, level.reserved))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [("A", 7, 3), ("B", 5, 0)]);
        assert_eq!(
            shop.reserve(&order(&[("A", 7), ("B", 5)])).await.state(),
            SagaState::Reserved
        );
    })
    .await;
}

#[tokio::test]
async fn a_read_takes_as_many_skus_as_a_full_batch_of_the_largest_requests() {
    on_every_database(&[("A", 10)], async |shop| {
        let mut skus: BTreeSet<_> = (0..100_000)
            .map(|number| Sku::parse(&format!("SKU-{number}")).unwrap())
            .collect();
        skus.insert(Sku::parse("A").unwrap());

        let levels = shop.store.levels(&skus).await.unwrap();

        assert_eq!(levels.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn stock_that_vanished_is_never_shipped() {
    on_every_database(&[("A", 10)], async |shop| {
        let order = order(&[("A", 3)]);
        shop.reserve(&order).await;
        shop.advance(&order, captured()).await;
        shop.database
            .tamper("UPDATE stock SET available = 10, reserved = 0")
            .await;

        let refused = shop
            .store
            .advance(order.id, vec![shipped(&order)], cause(order.id))
            .await;

        assert!(matches!(refused.unwrap_err(), StoreError::StockChanged));
        assert_eq!(shop.saga(&order).await, Some(SagaState::Captured));
    })
    .await;
}

#[tokio::test]
async fn seeding_again_adds_new_skus_and_changes_no_other() {
    on_every_database(&[("A", 10)], async |shop| {
        shop.reserve(&order(&[("A", 3)])).await;

        let added = shop.seed(&[("A", 99), ("B", 5)]).await;

        assert_eq!(added, 1);
        assert_eq!(shop.stock("A").await, (7, 3, 0));
        assert_eq!(shop.stock("B").await, (5, 0, 0));
    })
    .await;
}
