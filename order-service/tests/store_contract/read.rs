//! Reads: complete pages, histories after a version, and that the history is append-only.

use order_service::domain::{
    CustomerId, MAX_LINES, NewOrder, OrderEvent, OrderId, OrderLines, RequestId, Sku,
};
use uuid::Uuid;

use super::NEVER;
use super::database::{Database, OtherSession, on_every_database};
use super::orders::{outcome, place, request};

async fn place_for(database: &Database, customer: &str, orders: usize) -> Vec<OrderId> {
    let batch: Vec<_> = (0..orders).map(|_| place(&request(customer, 1))).collect();
    database.store.place(&batch).await.unwrap();
    batch.iter().map(|command| command.order.id).collect()
}

async fn page(database: &Database, before: Option<OrderId>, limit: u32) -> Vec<OrderId> {
    let guest = CustomerId::parse("guest").unwrap();
    let orders = database
        .store
        .list(&guest, before, limit, NEVER)
        .await
        .unwrap();
    orders.iter().map(|order| order.id).collect()
}

#[tokio::test]
async fn pages_show_every_order_of_a_customer_once_and_newest_first() {
    on_every_database(async |database| {
        let mut placed = place_for(&database, "guest", 11).await;
        place_for(&database, "other", 5).await;

        let mut shown = Vec::new();
        loop {
            let page = page(&database, shown.last().copied(), 4).await;
            assert!(page.len() <= 4);
            if page.is_empty() {
                break;
            }
            shown.extend(page);
        }

        placed.reverse();
        assert_eq!(shown, placed);
    })
    .await;
}

#[tokio::test]
async fn a_page_ends_after_the_order_with_which_it_exceeds_one_mebibyte() {
    on_every_database(async |database| {
        let mut largest = request("guest", 1);
        let mut line = largest.lines.as_slice()[0].clone();
        line.sku = Sku::parse("X".repeat(64)).unwrap();
        largest.lines = OrderLines::new(vec![line; MAX_LINES]).unwrap();
        // Each body has some 40 KB.
        let batch: Vec<_> = (0..60)
            .map(|_| {
                let request_id = RequestId::new(Uuid::new_v4());
                place(&NewOrder {
                    request_id,
                    ..largest.clone()
                })
            })
            .collect();
        database.store.place(&batch).await.unwrap();

        let first = page(&database, None, 200).await;
        let next = page(&database, first.last().copied(), 200).await;
        let last = page(&database, next.last().copied(), 200).await;

        assert!((20..30).contains(&first.len()), "{}", first.len());
        assert_eq!(next.len(), first.len());
        assert_eq!(first.len() + next.len() + last.len(), 60);
    })
    .await;
}

#[tokio::test]
async fn an_order_placed_between_two_pages_does_not_shift_the_next_page() {
    on_every_database(async |database| {
        let placed = place_for(&database, "guest", 4).await;

        let first = page(&database, None, 2).await;
        place_for(&database, "guest", 1).await;
        let second = page(&database, first.last().copied(), 2).await;

        assert_eq!(first, [placed[3], placed[2]]);
        assert_eq!(second, [placed[1], placed[0]]);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_order_is_none_and_has_no_history() {
    on_every_database(async |database| {
        let unknown = OrderId::new(Uuid::now_v7());

        assert_eq!(database.store.get(unknown, NEVER).await.unwrap(), None);
        assert_eq!(
            database.store.history(unknown, 0, 10, NEVER).await.unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test]
async fn a_history_is_read_from_any_version_on() {
    on_every_database(async |database| {
        let order_id = place_for(&database, "guest", 1).await[0];
        let batch = [
            outcome(order_id, 1, OrderEvent::StockReserved),
            outcome(order_id, 2, OrderEvent::PaymentCaptured),
            outcome(order_id, 3, OrderEvent::OrderFulfilled),
        ];
        database.store.apply(&batch).await.unwrap();

        let versions = async |after, limit| {
            let entries = database
                .store
                .history(order_id, after, limit, NEVER)
                .await
                .unwrap();
            entries
                .iter()
                .map(|entry| entry.version)
                .collect::<Vec<_>>()
        };
        assert_eq!(versions(0, 10).await, [1, 2, 3, 4]);
        assert_eq!(versions(0, 2).await, [1, 2]);
        assert_eq!(versions(2, 10).await, [3, 4]);
        assert!(versions(4, 10).await.is_empty());
        assert!(versions(u64::MAX, 10).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_history_cannot_be_updated() {
    on_every_database(async |database| {
        let order_id = place_for(&database, "guest", 1).await[0];

        assert!(!database.tamper_with_history(order_id).await);
    })
    .await;
}

#[tokio::test]
async fn the_versions_of_many_orders_are_read_at_once() {
    on_every_database(async |database| {
        let placed = place_for(&database, "guest", 1_500).await;
        let moved = outcome(placed[0], 1, OrderEvent::StockReserved);
        database.store.apply(&[moved]).await.unwrap();
        let unknown = OrderId::new(Uuid::now_v7());

        let asked: Vec<_> = placed.iter().copied().chain([unknown]).collect();
        let mut versions = database.store.versions(&asked).await.unwrap();

        versions.sort_unstable();
        let expected: Vec<_> = placed
            .iter()
            .map(|order_id| (*order_id, if *order_id == placed[0] { 2 } else { 1 }))
            .collect();
        assert_eq!(versions, expected);
        assert_eq!(database.store.versions(&[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn the_history_cannot_be_truncated() {
    let database = Database::postgres().await;
    place_for(&database, "guest", 1).await;
    let other_session = OtherSession::of(&database).await;

    let truncated = sqlx::query("TRUNCATE order_events")
        .execute(&other_session.0)
        .await;

    let refusal = truncated.unwrap_err().to_string();
    assert!(refusal.contains("append-only"), "{refusal}");
}
