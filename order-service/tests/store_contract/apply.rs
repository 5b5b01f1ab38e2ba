//! Applying outcomes: once each, in sequence, by the state machine.

use order_service::domain::{
    EventType, OrderEvent, OrderId, OrderStatus, RejectionReason, TransitionRefused,
};
use order_service::store::{Applied, ApplyOutcome};
use postgres_server::Server;
use uuid::Uuid;

use super::NEVER;
use super::database::{Database, on_every_database, updates_with_indexes};
use super::orders::{at, outcome, place, request};

async fn placed(database: &Database) -> OrderId {
    let command = place(&request("guest", 6));
    let order_id = command.order.id;
    database.store.place(&[command]).await.unwrap();
    order_id
}

async fn apply(database: &Database, outcome: ApplyOutcome) -> Applied {
    database.store.apply(&[outcome]).await.unwrap().replies[0]
}

#[tokio::test]
async fn outcomes_update_the_order_and_its_history() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;

        for (sequence, event, status) in [
            (1, OrderEvent::StockReserved, OrderStatus::Processing),
            (2, OrderEvent::PaymentCaptured, OrderStatus::Processing),
            (3, OrderEvent::OrderFulfilled, OrderStatus::Fulfilled),
        ] {
            let applied = apply(&database, outcome(order_id, sequence, event)).await;
            assert_eq!(applied.moved_to(), Some(status));
        }

        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Fulfilled, 4));
        assert_eq!((order.created_at, order.updated_at), (at(1_000), at(2_000)));
        let history = database.history(order_id, 0, 10).await;
        let seen: Vec<_> = history
            .iter()
            .map(|entry| (entry.version, entry.event_type))
            .collect();
        assert_eq!(
            seen,
            [
                (1, EventType::OrderPlaced),
                (2, EventType::StockReserved),
                (3, EventType::PaymentCaptured),
                (4, EventType::OrderFulfilled),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn outcomes_of_one_order_in_one_batch_follow_each_other() {
    on_every_database(async |database| {
        let one = placed(&database).await;
        let two = placed(&database).await;

        let answers = database
            .store
            .apply(&[
                outcome(one, 1, OrderEvent::StockReserved),
                outcome(
                    two,
                    1,
                    OrderEvent::OrderRejected(RejectionReason::OutOfStock),
                ),
                outcome(one, 2, OrderEvent::PaymentCaptured),
                outcome(one, 3, OrderEvent::OrderFulfilled),
            ])
            .await
            .unwrap()
            .replies;

        let rejected = OrderStatus::Rejected(RejectionReason::OutOfStock);
        assert_eq!(
            answers
                .into_iter()
                .map(Applied::moved_to)
                .collect::<Vec<_>>(),
            [
                Some(OrderStatus::Processing),
                Some(rejected),
                Some(OrderStatus::Processing),
                Some(OrderStatus::Fulfilled),
            ]
        );
        let order = database.store.get(one, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Fulfilled, 4));
        let order = database.store.get(two, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (rejected, 2));
    })
    .await;
}

#[tokio::test]
async fn an_outcome_that_arrives_twice_is_applied_once() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        let event = outcome(order_id, 1, OrderEvent::StockReserved);
        apply(&database, event.clone()).await;

        let again = apply(&database, event.clone()).await;
        let in_one_batch = database.store.apply(&[event.clone(), event]).await;

        assert_eq!(again, Applied::Duplicate);
        let in_one_batch = in_one_batch.unwrap();
        assert_eq!(in_one_batch.replies, [Applied::Duplicate; 2]);
        assert_eq!(in_one_batch.entries, []);
        assert_eq!(database.history(order_id, 0, 10).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_outcome_that_arrives_twice_after_the_end_is_still_a_duplicate() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        let event = outcome(order_id, 1, OrderEvent::OrderFulfilled);
        apply(&database, event.clone()).await;

        assert_eq!(apply(&database, event).await, Applied::Duplicate);
    })
    .await;
}

#[tokio::test]
async fn a_skipped_event_advances_the_position_of_its_order_and_nothing_else() {
    on_every_database(async |database| {
        let (order_id, other) = (placed(&database).await, placed(&database).await);
        let skipped = ApplyOutcome {
            event: None,
            ..outcome(order_id, 1, OrderEvent::StockReserved)
        };

        // One batch without and one with a history entry.
        assert_eq!(apply(&database, skipped.clone()).await, Applied::Skipped);
        let answers = database
            .store
            .apply(&[
                skipped,
                outcome(order_id, 2, OrderEvent::OrderFulfilled),
                outcome(other, 1, OrderEvent::StockReserved),
            ])
            .await
            .unwrap()
            .replies;

        assert_eq!(answers[0], Applied::Duplicate);
        assert_eq!(answers[1].moved_to(), Some(OrderStatus::Fulfilled));
        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Fulfilled, 2));
    })
    .await;
}

#[tokio::test]
async fn an_outcome_ahead_of_its_sequence_is_not_applied() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        let ahead = outcome(order_id, 2, OrderEvent::PaymentCaptured);

        let early = apply(&database, ahead.clone()).await;
        apply(&database, outcome(order_id, 1, OrderEvent::StockReserved)).await;
        let later = apply(&database, ahead).await;

        assert_eq!(early, Applied::Gap { expected: 1 });
        assert_eq!(later, Applied::Moved(OrderStatus::Processing));
        assert_eq!(database.history(order_id, 0, 10).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_final_order_does_not_change() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        apply(&database, outcome(order_id, 1, OrderEvent::OrderFulfilled)).await;
        let before = database.store.get(order_id, NEVER).await.unwrap();

        let refused = Applied::Refused(TransitionRefused::OrderIsFinal(OrderStatus::Fulfilled));
        let next = outcome(order_id, 2, OrderEvent::OrderCancelled);
        assert_eq!(apply(&database, next).await, refused);
        let behind_a_gap = outcome(order_id, 9, OrderEvent::StockReserved);
        assert_eq!(apply(&database, behind_a_gap).await, refused);

        assert_eq!(database.store.get(order_id, NEVER).await.unwrap(), before);
        assert_eq!(database.history(order_id, 0, 10).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_order_without_a_request_to_cancel_is_not_cancelled() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;

        let applied = apply(&database, outcome(order_id, 1, OrderEvent::OrderCancelled)).await;

        assert_eq!(applied, Applied::Refused(TransitionRefused::NotRequested));
        let order = database.store.get(order_id, NEVER).await.unwrap().unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Accepted, 1));
    })
    .await;
}

#[tokio::test]
async fn an_outcome_of_an_unknown_order_is_reported_as_unknown() {
    on_every_database(async |database| {
        let known = placed(&database).await;
        let unknown = OrderId::new(Uuid::now_v7());

        let answers = database
            .store
            .apply(&[
                outcome(unknown, 1, OrderEvent::StockReserved),
                outcome(known, 1, OrderEvent::StockReserved),
            ])
            .await
            .unwrap()
            .replies;

        assert_eq!(
            answers,
            [
                Applied::UnknownOrder,
                Applied::Moved(OrderStatus::Processing)
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn an_event_id_is_not_applied_at_two_positions() {
    on_every_database(async |database| {
        let order_id = placed(&database).await;
        let first = outcome(order_id, 1, OrderEvent::StockReserved);
        apply(&database, first.clone()).await;
        let mut reused = outcome(order_id, 2, OrderEvent::PaymentCaptured);
        reused.event_id = first.event_id;

        let failure = database.store.apply(&[reused]).await;

        assert!(failure.is_err());
        assert_eq!(database.history(order_id, 0, 10).await.len(), 2);
    })
    .await;
}

/// Orders that were placed together stand on the same pages, and a batch updates them all before one old version is removed.
/// A server of its own: beside a long transaction, also of another database, PostgreSQL removes them late.
#[tokio::test]
async fn outcomes_of_orders_on_the_same_pages_write_no_index_of_orders() {
    let server = Server::start().unwrap();
    let database = Database::on(&server).await;
    let orders: Vec<_> = (0..200).map(|_| place(&request("guest", 6))).collect();
    database.store.place(&orders).await.unwrap();
    let events = [
        OrderEvent::StockReserved,
        OrderEvent::PaymentCaptured,
        OrderEvent::OrderFulfilled,
    ];

    for (sequence, event) in (1..).zip(events) {
        let outcomes = orders
            .iter()
            .map(|new| outcome(new.order.id, sequence, event));
        let outcomes: Vec<_> = outcomes.collect();
        database.store.apply(&outcomes).await.unwrap();
    }

    database.close().await;
    let with_indexes = updates_with_indexes(&database.url).await;
    assert!(with_indexes < 30, "{with_indexes} of 600 updates");
}
