//! What blocks a key, and for how long.

use consumer::retry_store::{
    BlockedKeySet, KeyState, MAX_BLOCKED_KEYS, MAX_KEY, RetryState, RetryStore, TopicPartition,
};
use kafka::record::Record;
use uuid::Uuid;

use super::database::on_every_database;
use super::records::{
    DUE, LATER, SWEEPER, TOPIC, claim, drain, fault, offsets, record, without_key,
};

async fn blocked_keys(retry_store: &dyn RetryStore) -> BlockedKeySet {
    let partition = TopicPartition {
        topic: TOPIC.to_owned(),
        partition: 3,
    };
    let start = retry_store
        .begin_session(&partition, Uuid::from_u128(9))
        .await
        .unwrap();
    start.blocked
}

#[tokio::test]
async fn a_later_event_of_a_blocked_key_is_stored_behind_and_other_keys_are_free() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();

        let behind = retry_store.store_behind(&record("a", 2)).await.unwrap();
        let other = retry_store.store_behind(&record("b", 3)).await.unwrap();

        assert_eq!(behind, KeyState::Blocked);
        assert_eq!(other, KeyState::Free);
        assert_eq!(drain(retry_store).await, [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_open_again_when_its_last_event_was_handled() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        retry_store.store_behind(&record("a", 2)).await.unwrap();

        drain(retry_store).await;

        let next = retry_store.store_behind(&record("a", 3)).await.unwrap();
        assert_eq!(next, KeyState::Free);
        assert_eq!(blocked_keys(retry_store).await, BlockedKeySet::Keys(vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_dead_event_blocks_its_key_and_nothing_behind_it_is_handled() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let dead = RetryState::Dead;
        retry_store
            .store(&record("a", 1), &fault(), dead)
            .await
            .unwrap();

        let behind = retry_store.store_behind(&record("a", 2)).await.unwrap();

        assert_eq!(behind, KeyState::Blocked);
        assert_eq!(drain(retry_store).await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_session_starts_with_every_blocked_key_once() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        for (key, offset) in [("b", 1), ("a", 2), ("b", 3)] {
            let stored = record(key, offset);
            retry_store.store(&stored, &fault(), LATER).await.unwrap();
        }
        let dead = RetryState::Dead;
        retry_store
            .store(&record("c", 4), &fault(), dead)
            .await
            .unwrap();
        retry_store
            .store(&without_key(5), &fault(), DUE)
            .await
            .unwrap();

        let blocked = blocked_keys(retry_store).await;

        let keys = ["a", "b", "c"].map(|key| key.as_bytes().to_vec());
        assert_eq!(blocked, BlockedKeySet::Keys(keys.to_vec()));
    })
    .await;
}

#[tokio::test]
async fn more_keys_than_are_worth_keeping_are_too_many() {
    on_every_database(async |database| {
        let most = i64::try_from(MAX_BLOCKED_KEYS).unwrap();
        database.block_keys(most).await;

        let all = blocked_keys(&*database.retry_store).await;
        let last = record("one more", most + 1);
        database
            .retry_store
            .store(&last, &fault(), DUE)
            .await
            .unwrap();
        let too_many = blocked_keys(&*database.retry_store).await;

        assert!(matches!(all, BlockedKeySet::Keys(keys) if keys.len() == MAX_BLOCKED_KEYS));
        assert_eq!(too_many, BlockedKeySet::TooMany);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_in_the_retry_store_twice_stays_as_it_was() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();

        let again = record("a", 1);
        retry_store
            .store(&again, &fault(), RetryState::Dead)
            .await
            .unwrap();
        let behind = retry_store.store_behind(&again).await.unwrap();

        assert_eq!(behind, KeyState::Blocked);
        assert_eq!(drain(retry_store).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_record_at_the_same_place_of_a_topic_created_anew_is_another_one() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let first = record("a", 1);
        let second = Record {
            timestamp_ms: Some(1_800_000_000_000),
            ..record("b", 1)
        };

        retry_store.store(&first, &fault(), DUE).await.unwrap();
        retry_store.store(&second, &fault(), DUE).await.unwrap();

        assert_eq!(drain(retry_store).await, [1, 1]);
    })
    .await;
}

#[tokio::test]
async fn keys_without_an_order_block_nothing() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let long = "x".repeat(MAX_KEY + 1);
        for unordered in [without_key(1), record(&long, 2)] {
            retry_store.store(&unordered, &fault(), DUE).await.unwrap();
        }

        assert_eq!(
            retry_store.store_behind(&without_key(3)).await.unwrap(),
            KeyState::Free
        );
        assert_eq!(
            retry_store.store_behind(&record(&long, 4)).await.unwrap(),
            KeyState::Free
        );
        assert_eq!(blocked_keys(retry_store).await, BlockedKeySet::Keys(vec![]));
        assert_eq!(offsets(&claim(retry_store, SWEEPER).await), [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn the_longest_key_with_an_order_is_blocked() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let key = "x".repeat(MAX_KEY);
        retry_store
            .store(&record(&key, 1), &fault(), DUE)
            .await
            .unwrap();

        let behind = retry_store.store_behind(&record(&key, 2)).await.unwrap();

        assert_eq!(behind, KeyState::Blocked);
    })
    .await;
}
