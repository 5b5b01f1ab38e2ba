//! Two releases on one schema: while a release is rolled out, the one before goes on writing (docs/migrations.md).

use std::slice;

use order_service::domain::{Availability, EventType, OrderEvent, OrderId, OrderStatus};
use uuid::Uuid;

use super::NEVER;
use super::database::on_every_database;
use super::orders::{outcome, place, request};

#[tokio::test]
async fn what_the_older_release_writes_is_read_and_continued() {
    on_every_database(async |database| {
        let command = place(&request("guest", 6));
        let order_id = command.order.id;
        database.store.place(&[command]).await.unwrap();

        database.cancel_by_the_older_release(order_id).await;
        let cancelled = outcome(order_id, 1, OrderEvent::OrderCancelled);
        let cause_id = cancelled.event_id;
        database.store.apply(&[cancelled]).await.unwrap();

        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Cancelled, 3));
        let history = database.history(order_id, 0, 10).await;
        let causes: Vec<_> = history
            .iter()
            .map(|entry| (entry.event_type, entry.cause_id))
            .collect();
        assert_eq!(
            causes,
            [
                (EventType::OrderPlaced, None),
                (EventType::CancellationRequested, None),
                (EventType::OrderCancelled, Some(cause_id)),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn an_order_of_the_release_without_the_check_is_read_and_continued() {
    on_every_database(async |database| {
        let model = place(&request("guest", 6));
        database.store.place(slice::from_ref(&model)).await.unwrap();
        let order_id = OrderId::new(Uuid::now_v7());

        database.place_by_the_older_release(order_id).await;
        let reserved = outcome(order_id, 1, OrderEvent::StockReserved);
        database.store.apply(&[reserved]).await.unwrap();

        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!(order.availability, Availability::NotChecked);
        assert_eq!((order.status, order.version), (OrderStatus::Processing, 2));
        assert_eq!(order.lines, model.order.lines);
    })
    .await;
}
