//! Retention: finished sagas go with their payments and shipments, and no order is processed a second time after that.

use std::time::{Duration, SystemTime};

use consumer::{ConsumerRetention, Failure};
use processing_service::domain::{Order, OrderId, SagaState};
use processing_service::retention::RetentionConfig;
use sql::retention::{PruneConfig, Pruner};
use uuid::{NoContext, Uuid};

use crate::support::desk::{at_every_desk, cancellation_of, placed};
use crate::support::fixture::{Fixture, captured, on_every_database, order};

const DAY: Duration = Duration::from_secs(86_400);

const RETENTION: RetentionConfig = RetentionConfig {
    prune: PruneConfig {
        interval: DAY,
        batch: 100,
    },
    consumer: ConsumerRetention {
        inbox: DAY.saturating_mul(9),
        audit: DAY.saturating_mul(365),
    },
    sagas: DAY.saturating_mul(90),
};

fn pruner(shop: &Fixture) -> Pruner {
    Pruner::new(shop.database.database(), RETENTION.rules(), RETENTION.prune)
}

/// An order for one piece that was placed at this time.
fn order_at(at: SystemTime) -> Order {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos));
    Order {
        id: OrderId::new(id),
        ..order(&[("A", 1)])
    }
}

async fn count(shop: &Fixture, query: &'static str) -> i64 {
    let rows: Vec<(i64,)> = shop.database.rows(query).await;
    rows[0].0
}

#[tokio::test]
async fn finished_sagas_go_with_payment_and_shipment_after_their_retention_and_all_others_stay() {
    on_every_database(&[("A", 10)], async |shop| {
        let now = SystemTime::now();
        let old = order_at(now);
        let young = order_at(now + DAY * 3);
        let unfinished = order_at(now);
        shop.fulfil(&old).await;
        shop.fulfil(&young).await;
        shop.reserve(&unfinished).await;
        shop.advance(&unfinished, captured()).await;

        let pruned = pruner(&shop).prune(now + DAY * 91).await.unwrap();

        assert_eq!(pruned[0], ("sagas", 1));
        assert_eq!(shop.saga(&old).await, None);
        assert_eq!(shop.payment(&old).await, None);
        assert_eq!(shop.saga(&young).await, Some(SagaState::Fulfilled));
        assert_eq!(shop.saga(&unfinished).await, Some(SagaState::Captured));
        assert_eq!(count(&shop, "SELECT count(*) FROM payments").await, 2);
        assert_eq!(shop.shipments().await, 1);
        assert_eq!(shop.stock("A").await, (7, 1, 2));
    })
    .await;
}

#[tokio::test]
async fn an_order_that_comes_again_after_its_saga_was_pruned_is_rejected_without_effect() {
    at_every_desk(&[("A", 10)], async |desk| {
        let now = SystemTime::now();
        let old = order_at(now - DAY * 91);
        desk.shop.fulfil(&old).await;
        // Kept: its last change is not old enough.
        desk.handle(placed(&old), &[]).await.unwrap();
        let pruned = pruner(&desk.shop).prune(now + DAY * 91).await.unwrap();
        assert_eq!(pruned[0], ("sagas", 1));

        let again = desk.handle(placed(&old), &[]).await;

        assert!(matches!(again, Err(Failure::Reject(_))), "{again:?}");
        assert_eq!(desk.gateway.captures(), 0);
        assert_eq!(desk.shop.stock("A").await, (9, 0, 1));
        assert_eq!(desk.shop.saga(&old).await, None);
    })
    .await;
}

/// Cancelled, a shipped order would have been paid for and called CANCELLED.
#[tokio::test]
async fn a_cancellation_after_the_saga_was_pruned_is_rejected_and_cancels_nothing() {
    at_every_desk(&[("A", 10)], async |desk| {
        let now = SystemTime::now();
        let old = order_at(now - DAY * 91);
        desk.shop.fulfil(&old).await;
        let pruned = pruner(&desk.shop).prune(now + DAY * 91).await.unwrap();
        assert_eq!(pruned[0], ("sagas", 1));

        let cancelled = desk.handle(cancellation_of(&old), &[]).await;

        assert!(
            matches!(cancelled, Err(Failure::Reject(_))),
            "{cancelled:?}"
        );
        assert_eq!(desk.shop.saga(&old).await, None);
    })
    .await;
}

#[tokio::test]
async fn an_old_order_with_an_unfinished_saga_is_continued() {
    at_every_desk(&[("A", 10)], async |desk| {
        let old = order_at(SystemTime::now() - DAY * 91);
        desk.shop.reserve(&old).await;

        desk.handle(placed(&old), &[]).await.unwrap();

        assert_eq!(desk.shop.saga(&old).await, Some(SagaState::Fulfilled));
    })
    .await;
}

#[tokio::test]
async fn the_inbox_row_of_an_order_is_pruned_before_its_saga_and_the_order_stays_a_duplicate() {
    at_every_desk(&[("A", 10)], async |desk| {
        let now = SystemTime::now();
        let order = order_at(now);
        desk.handle(placed(&order), &[]).await.unwrap();

        pruner(&desk.shop).prune(now + DAY * 10).await.unwrap();
        desk.handle(placed(&order), &[]).await.unwrap();

        assert!(desk.shop.inbox().await.is_empty());
        assert_eq!(desk.gateway.captures(), 1);
        assert_eq!(desk.shop.stock("A").await, (9, 0, 1));
    })
    .await;
}
