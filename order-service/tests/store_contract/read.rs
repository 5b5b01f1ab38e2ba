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
        assert_eq!(database.history(unknown, 0, 10).await, []);
    })
    .await;
}

#[tokio::test]
async fn histories_are_read_from_any_version_on_and_many_at_once() {
    on_every_database(async |database| {
        let order_id = place_for(&database, "guest", 1).await[0];
        let other = place_for(&database, "17850", 1).await[0];
        let unknown = OrderId::new(Uuid::now_v7());
        let batch = [
            outcome(order_id, 1, OrderEvent::StockReserved),
            outcome(order_id, 2, OrderEvent::PaymentCaptured),
            outcome(order_id, 3, OrderEvent::OrderFulfilled),
        ];
        database.store.apply(&batch).await.unwrap();

        let after = [
            (order_id, 0),
            (unknown, 0),
            (other, 0),
            (order_id, 2),
            (order_id, 4),
            (order_id, u64::MAX),
        ];
        let read = async |limit| {
            let histories = database.store.histories(&after, limit).await.unwrap();
            let read = histories.into_iter().map(|history| {
                let history = history?;
                let versions = history.entries.iter().map(|entry| entry.version);
                let versions: Vec<_> = versions.collect();
                Some((history.customer_id.as_str().to_owned(), versions))
            });
            read.collect::<Vec<_>>()
        };

        let of = |customer: &str, versions: &[u64]| Some((customer.to_owned(), versions.to_vec()));
        let all = [
            of("guest", &[1, 2, 3, 4]),
            None,
            of("17850", &[1]),
            of("guest", &[3, 4]),
            // The last one, if there is none above.
            of("guest", &[4]),
            of("guest", &[4]),
        ];
        assert_eq!(read(10).await, all);
        let limited = read(2).await;
        assert_eq!(limited[0], of("guest", &[1, 2]));
        assert_eq!(limited[1..], all[1..]);
        assert_eq!(database.store.histories(&[], 10).await.unwrap(), []);
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
async fn the_new_entries_of_many_orders_are_read_at_once() {
    on_every_database(async |database| {
        let placed = place_for(&database, "guest", 1_500).await;
        let (moved, last) = (placed[0], placed[1_499]);
        let batch = [
            outcome(moved, 1, OrderEvent::StockReserved),
            outcome(moved, 2, OrderEvent::PaymentCaptured),
            outcome(moved, 3, OrderEvent::OrderFulfilled),
            outcome(last, 1, OrderEvent::StockReserved),
        ];
        let committed = database.store.apply(&batch).await.unwrap();
        let unknown = OrderId::new(Uuid::now_v7());

        let orders = placed.iter().copied().chain([unknown]);
        let known: Vec<_> = orders.map(|order_id| (order_id, 1)).collect();
        let entries = async |known: &[(OrderId, u64)], limit| {
            let entries = database.store.entries_after(known, limit).await;
            let mut entries = entries.unwrap();
            entries.sort_by_key(|entry| (entry.order_id, entry.version));
            entries
        };

        // A commit returns the entries as they are read.
        assert_eq!(entries(&known, 10).await, committed.entries);
        let first_two = entries(&known, 2).await;
        assert_eq!(first_two[..2], committed.entries[..2]);
        assert_eq!(first_two[2..], committed.entries[3..]);
        assert_eq!(entries(&[(moved, 3)], 10).await, committed.entries[2..3]);
        assert_eq!(entries(&[(moved, 4)], 10).await, []);
        assert_eq!(entries(&[], 10).await, []);
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
