//! Requesting cancellations: announced once, refused when it is too late.

use order_service::domain::{EventType, OrderEvent, OrderId, OrderStatus};
use order_service::store::{Applied, CancelReply};
use uuid::Uuid;

use super::NEVER;
use super::database::{Database, on_every_database};
use super::orders::{at, cancel, outcome, place, request};

async fn placed(database: &Database) -> OrderId {
    let command = place(&request("guest", 6));
    let order_id = command.order.id;
    database.store.place(&[command]).await.unwrap();
    order_id
}

#[tokio::test]
async fn a_request_to_cancel_is_stored_with_its_event() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;

        let answers = database
            .store
            .cancel(&[cancel(order_id)])
            .await
            .unwrap()
            .replies;

        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!(
            (order.status, order.version),
            (OrderStatus::CancelRequested, 2)
        );
        assert_eq!(order.updated_at, at(3_000));
        assert_eq!(answers, [CancelReply::Requested(order)]);
        let history = database.history(order_id, 1, 10).await;
        assert_eq!(history[0].event_type, EventType::CancellationRequested);
        let outbox = database.outbox().await;
        assert_eq!(outbox.len(), 2);
        assert_eq!(outbox[1].record.payload, b"CancellationRequested");
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_to_cancel_is_a_no_op() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;

        let batch = [cancel(order_id), cancel(order_id)];
        let together = database.store.cancel(&batch).await.unwrap().replies;
        let later = database
            .store
            .cancel(&[cancel(order_id)])
            .await
            .unwrap()
            .replies;

        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        let already = CancelReply::AlreadyRequested(order.clone());
        assert_eq!(together, [CancelReply::Requested(order), already.clone()]);
        assert_eq!(later, [already]);
        assert_eq!(database.outbox().await.len(), 2);
        assert_eq!(database.history(order_id, 0, 10).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_finished_order_cannot_be_cancelled() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        let fulfilled = outcome(order_id, 1, OrderEvent::OrderFulfilled);
        database.store.apply(&[fulfilled]).await.unwrap();

        let answers = database
            .store
            .cancel(&[cancel(order_id)])
            .await
            .unwrap()
            .replies;

        assert_eq!(answers, [CancelReply::Refused(OrderStatus::Fulfilled)]);
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn processing_decides_whether_the_cancellation_came_in_time() {
    on_every_database(async |database| {
        let in_time = placed(&database).await;
        let too_late = placed(&database).await;
        let batch = [cancel(in_time), cancel(too_late)];
        database.store.cancel(&batch).await.unwrap();

        let answers = database
            .store
            .apply(&[
                outcome(in_time, 1, OrderEvent::OrderCancelled),
                outcome(too_late, 1, OrderEvent::OrderFulfilled),
            ])
            .await
            .unwrap()
            .replies;

        assert_eq!(
            answers
                .into_iter()
                .map(Applied::moved_to)
                .collect::<Vec<_>>(),
            [Some(OrderStatus::Cancelled), Some(OrderStatus::Fulfilled)]
        );
        let again = database
            .store
            .cancel(&[cancel(in_time)])
            .await
            .unwrap()
            .replies;
        assert!(
            matches!(&again[0], CancelReply::AlreadyRequested(_)),
            "{again:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_unknown_order_cannot_be_cancelled() {
    on_every_database(async |database| {
        let unknown = OrderId::new(Uuid::now_v7());

        let answers = database
            .store
            .cancel(&[cancel(unknown)])
            .await
            .unwrap()
            .replies;

        assert_eq!(answers, [CancelReply::UnknownOrder]);
        assert!(database.outbox().await.is_empty());
    })
    .await;
}
