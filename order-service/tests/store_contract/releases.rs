//! Two releases on one schema: while a release is rolled out, the one before goes on writing (docs/migrations.md).

use order_service::domain::{EventType, OrderEvent, OrderStatus};

use crate::database::on_every_database;
use crate::orders::{outcome, place, request};

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

        let order = database.store.get(order_id).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Cancelled, 3));
        let history = database.store.history(order_id, 0, 10).await.unwrap();
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
