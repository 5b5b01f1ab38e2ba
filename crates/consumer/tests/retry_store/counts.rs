//! The size of the retry store, for the gauges and the alert.

use consumer::retry_store::RetryState;
use consumer::retry_store::operations::{Operations, RetryStoreCount};
use kafka::record::Record;

use super::database::on_every_database;
use super::records::{LATER, fault, record, without_key};

/// More than any test stores.
const ALL: u32 = 1_000;

async fn count(operations: &dyn Operations, at_most: u32) -> (u64, u64) {
    let RetryStoreCount { events, keys } = operations.count(at_most).await.unwrap();
    (events, keys)
}

#[tokio::test]
async fn dead_and_waiting_events_are_counted_and_each_blocked_key_once() {
    on_every_database(async |database| {
        let (retry_store, operations) = (&*database.retry_store, &*database.operations);
        assert_eq!(count(operations, ALL).await, (0, 0));

        for dead in [record("a", 1), without_key(2), without_key(3)] {
            let state = RetryState::Dead;
            retry_store.store(&dead, &fault(), state).await.unwrap();
        }
        retry_store.store_behind(&record("a", 4)).await.unwrap();
        let waiting = record("b", 5);
        retry_store.store(&waiting, &fault(), LATER).await.unwrap();

        assert_eq!(count(operations, ALL).await, (5, 2));
    })
    .await;
}

#[tokio::test]
async fn a_key_of_another_topic_is_another_key() {
    on_every_database(async |database| {
        let elsewhere = Record {
            topic: "payments".to_owned(),
            ..record("a", 2)
        };
        for record in [record("a", 1), elsewhere] {
            let dead = RetryState::Dead;
            let retry_store = &*database.retry_store;
            retry_store.store(&record, &fault(), dead).await.unwrap();
        }

        assert_eq!(count(&*database.operations, ALL).await, (2, 2));
    })
    .await;
}

#[tokio::test]
async fn skipped_events_are_not_counted() {
    on_every_database(async |database| {
        let (retry_store, operations) = (&*database.retry_store, &*database.operations);
        let (first, dead) = (record("a", 1), RetryState::Dead);
        retry_store.store(&first, &fault(), dead).await.unwrap();
        retry_store.store_behind(&record("a", 2)).await.unwrap();
        let listing = operations.list(&Default::default(), 1).await.unwrap();

        let skipped = operations.skip(listing.events[0].id, "an operator", "a test");
        skipped.await.unwrap();

        assert_eq!(count(operations, ALL).await, (1, 1));
    })
    .await;
}

#[tokio::test]
async fn events_are_counted_up_to_the_bound() {
    on_every_database(async |database| {
        database.block_keys(10).await;

        assert_eq!(count(&*database.operations, 3).await, (3, 3));
        assert_eq!(count(&*database.operations, 10).await, (10, 10));
    })
    .await;
}
