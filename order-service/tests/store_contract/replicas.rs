//! Several replicas on one PostgreSQL: they meet at the same orders at the same time, and connections break.

use std::collections::HashMap;

use futures::future::join_all;
use order_service::domain::{EventType, OrderEvent, OrderId};
use order_service::store::{Applied, CancelReply, PlaceOrder, Placed, StoreError};
use uuid::Uuid;

use super::NEVER;
use super::database::{Database, OtherSession, deadlocks};
use super::orders::{cancel, outcome, place, request};

async fn placed(database: &Database, orders: usize) -> Vec<OrderId> {
    let batch: Vec<_> = (0..orders).map(|_| place(&request("guest", 6))).collect();
    database.store.place(&batch).await.unwrap();
    batch.iter().map(|command| command.order.id).collect()
}

/// Closes both replicas; the deadlocks that there were between them.
async fn deadlocks_between(replicas: [Database; 2]) -> i64 {
    for replica in &replicas {
        replica.close().await;
    }
    deadlocks(&replicas[0].url).await
}

#[tokio::test]
async fn replicas_that_place_the_same_requests_make_one_order_of_each() {
    let one = Database::postgres().await;
    let other = one.replica().await;

    for _ in 0..10 {
        let requests: Vec<_> = (0..200).map(|_| request("guest", 6)).collect();
        let here: Vec<PlaceOrder> = requests.iter().map(place).collect();
        let there: Vec<PlaceOrder> = requests.iter().rev().map(place).collect();
        let (placed_here, placed_there) =
            tokio::join!(one.store.place(&here), other.store.place(&there));

        let (placed_here, placed_there) = (placed_here.unwrap(), placed_there.unwrap());
        let pairs = here.iter().zip(&placed_here);
        let mirrored = there.iter().zip(&placed_there).rev();
        for ((my, mine), (their, theirs)) in pairs.zip(mirrored) {
            match (mine, theirs) {
                (Placed::New, Placed::Duplicate(saved)) => assert_eq!(*saved, my.order),
                (Placed::Duplicate(saved), Placed::New) => assert_eq!(*saved, their.order),
                both => panic!("{both:?}"),
            }
        }
    }

    assert_eq!(one.outbox().await.len(), 2_000);
    assert_eq!(deadlocks_between([one, other]).await, 0);
}

/// Each order is fulfilled by outcomes that both replicas are given, as after a rebalance, and its customer asks at
/// both to cancel.
#[tokio::test]
async fn orders_that_replicas_move_at_once_have_histories_without_gaps() {
    const ROUNDS: [OrderEvent; 3] = [
        OrderEvent::StockReserved,
        OrderEvent::PaymentCaptured,
        OrderEvent::OrderFulfilled,
    ];
    let one = Database::postgres().await;
    let other = one.replica().await;
    let orders = placed(&one, 100).await;

    let mut applied: HashMap<(OrderId, u64), u32> = HashMap::new();
    let mut requested = 0;
    for (sequence, event) in (1..).zip(ROUNDS) {
        let outcomes: Vec<_> = orders
            .iter()
            .map(|id| outcome(*id, sequence, event))
            .collect();
        let redelivered: Vec<_> = outcomes.iter().rev().cloned().collect();
        let cancellations: Vec<_> = orders.iter().map(|id| cancel(*id)).collect();
        let repeated: Vec<_> = orders.iter().rev().map(|id| cancel(*id)).collect();
        let (here, there, cancelled, cancelled_again) = tokio::join!(
            one.store.apply(&outcomes),
            other.store.apply(&redelivered),
            other.store.cancel(&cancellations),
            one.store.cancel(&repeated),
        );

        let all = outcomes.iter().chain(&redelivered);
        let answers = here.unwrap().replies.into_iter();
        for (outcome, answer) in all.zip(answers.chain(there.unwrap().replies)) {
            let moved = answer.moved_to().is_some();
            assert!(moved || answer == Applied::Duplicate, "{answer:?}");
            *applied
                .entry((outcome.order_id, outcome.sequence))
                .or_default() += u32::from(moved);
        }
        let answers = cancelled.unwrap().replies.into_iter();
        let answers = answers.chain(cancelled_again.unwrap().replies);
        requested += answers
            .filter(|answer| matches!(answer, CancelReply::Requested(_)))
            .count();
    }

    assert!(applied.values().all(|times| *times == 1), "{applied:?}");
    assert_eq!(requested, orders.len());
    for order_id in &orders {
        let order = one.store.get(*order_id, NEVER).await.unwrap().unwrap();
        let history = one.history(*order_id, 0, 10).await;
        let versions: Vec<_> = history.iter().map(|entry| entry.version).collect();
        assert_eq!(versions, [1, 2, 3, 4, 5]);
        assert_eq!(order.version, 5);
    }
    assert_eq!(deadlocks_between([one, other]).await, 0);
}

#[tokio::test]
async fn events_of_an_order_stand_in_the_outbox_in_the_order_of_its_history() {
    let one = Database::postgres().await;
    let other = one.replica().await;
    let batches: Vec<Vec<PlaceOrder>> = (0..20)
        .map(|_| (0..50).map(|_| place(&request("guest", 6))).collect())
        .collect();

    // The other replica asks to cancel each order as soon as it can be seen.
    let places = join_all(batches.iter().map(|batch| one.store.place(batch)));
    let cancels = join_all(batches.iter().map(|batch| cancel_when_there(&other, batch)));
    let (placed, ()) = tokio::join!(places, async { drop(cancels.await) });

    assert!(placed.iter().all(Result::is_ok), "{placed:?}");
    let mut events: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for row in one.outbox().await {
        let record = row.record.as_ref().clone();
        events.entry(record.key).or_default().push(record.payload);
    }
    assert_eq!(events.len(), 1_000);
    for (order_id, events) in events {
        let expected: [&[u8]; 2] = [b"OrderPlaced", b"CancellationRequested"];
        assert_eq!(events, expected, "{order_id}");
    }
}

async fn cancel_when_there(database: &Database, orders: &[PlaceOrder]) {
    let mut cancellations: Vec<_> = orders
        .iter()
        .map(|command| cancel(command.order.id))
        .collect();
    while !cancellations.is_empty() {
        let answers = database.store.cancel(&cancellations).await.unwrap();
        let mut answers = answers.replies.iter();
        cancellations.retain(|_| matches!(answers.next(), Some(CancelReply::UnknownOrder)));
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_while_placing_leaves_nothing_half_written() {
    let database = Database::postgres().await;
    let other_session = OtherSession::of(&database).await;
    let mut batch: Vec<_> = (0..10).map(|_| place(&request("guest", 6))).collect();
    batch.sort_by_key(|command| command.request_id);
    // Another transaction inserts the last idempotency key: the orders before it are written when the batch waits for it.
    let mut theirs = other_session.0.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, \
                             processing_sequence, body, created_at, updated_at) \
         VALUES ($1, 'guest', $2, $3, 'ACCEPTED', 1, 0, '', 0, 0)",
    )
    .bind(Uuid::now_v7())
    .bind(batch[9].request_id.as_uuid())
    .bind([0_u8; 32].as_slice())
    .execute(&mut *theirs)
    .await
    .unwrap();

    let (failure, cut) = tokio::join!(
        database.store.place(&batch),
        other_session.cut_lock_waiters()
    );

    assert_eq!(cut, 1);
    assert!(
        matches!(failure, Err(StoreError::Unavailable { .. })),
        "{failure:?}"
    );
    theirs.rollback().await.unwrap();
    for command in &batch {
        let order_id = command.order.id;
        assert_eq!(database.store.get(order_id, NEVER).await.unwrap(), None);
        assert_eq!(database.history(order_id, 0, 10).await, []);
    }
    assert!(database.outbox().await.is_empty());
    assert_eq!(
        database.store.place(&batch).await.unwrap(),
        vec![Placed::New; 10]
    );
}

#[tokio::test]
async fn a_connection_that_is_cut_while_applying_leaves_nothing_half_written() {
    let database = Database::postgres().await;
    let other_session = OtherSession::of(&database).await;
    let orders = placed(&database, 10).await;
    let batch: Vec<_> = orders
        .iter()
        .map(|order_id| outcome(*order_id, 1, OrderEvent::StockReserved))
        .collect();
    // Another transaction writes one of the inbox rows: state and history are written when the batch waits for it.
    let mut theirs = other_session.0.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO inbox (event_id, entity_id, sequence, received_at) VALUES ($1, $2, 1, 0)",
    )
    .bind(batch[9].event_id)
    .bind(orders[9].as_uuid())
    .execute(&mut *theirs)
    .await
    .unwrap();

    let (failure, cut) = tokio::join!(
        database.store.apply(&batch),
        other_session.cut_lock_waiters()
    );

    assert_eq!(cut, 1);
    assert!(
        matches!(failure, Err(StoreError::Unavailable { .. })),
        "{failure:?}"
    );
    theirs.rollback().await.unwrap();
    for order_id in &orders {
        let history = database.history(*order_id, 0, 10).await;
        let events: Vec<_> = history.iter().map(|entry| entry.event_type).collect();
        assert_eq!(events, [EventType::OrderPlaced]);
    }
    let again = database.store.apply(&batch).await.unwrap().replies;
    assert!(
        again.iter().all(|answer| answer.moved_to().is_some()),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_lock_timeout_is_unavailable_and_not_damaged() {
    let database = Database::postgres().await;
    let other_session = OtherSession::of(&database).await;
    let order_id = placed(&database, 1).await[0];
    let mut theirs = other_session.0.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM orders WHERE order_id = $1 FOR UPDATE")
        .bind(order_id.as_uuid())
        .execute(&mut *theirs)
        .await
        .unwrap();

    let failure = database.store.cancel(&[cancel(order_id)]).await;

    assert!(
        matches!(failure, Err(StoreError::Unavailable { .. })),
        "{failure:?}"
    );
    theirs.rollback().await.unwrap();
    let answers = database.store.cancel(&[cancel(order_id)]).await.unwrap();
    let answers = answers.replies;
    assert!(
        matches!(&answers[0], CancelReply::Requested(_)),
        "{answers:?}"
    );
}
