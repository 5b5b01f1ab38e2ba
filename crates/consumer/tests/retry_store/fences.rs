//! What fences a key, and for how long.

use kafka::record::Record;
use consumer::retry_store::{Fence, Fenced, LONGEST_KEY, MOST_FENCED_KEYS, Parked, Parking, Source};
use uuid::Uuid;

use crate::database::on_every_database;
use crate::records::{
    DUE, LATER, SWEEPER, TOPIC, claim, drain, fault, offsets, record, without_key,
};

async fn fenced_keys(parking: &dyn Parking) -> Fenced {
    let source = Source {
        topic: TOPIC.to_owned(),
        partition: 3,
    };
    let beginning = parking.begin(&source, Uuid::from_u128(9)).await.unwrap();
    beginning.fenced
}

#[tokio::test]
async fn what_comes_for_a_parked_key_is_parked_behind_and_other_keys_are_open() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        parking.park(&record("a", 1), &fault(), DUE).await.unwrap();

        let behind = parking.park_behind(&record("a", 2)).await.unwrap();
        let other = parking.park_behind(&record("b", 3)).await.unwrap();

        assert_eq!(behind, Fence::Parked);
        assert_eq!(other, Fence::Open);
        assert_eq!(drain(parking).await, [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_open_again_when_its_last_event_was_handled() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        parking.park(&record("a", 1), &fault(), DUE).await.unwrap();
        parking.park_behind(&record("a", 2)).await.unwrap();

        drain(parking).await;

        let next = parking.park_behind(&record("a", 3)).await.unwrap();
        assert_eq!(next, Fence::Open);
        assert_eq!(fenced_keys(parking).await, Fenced::Keys(vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_dead_event_fences_its_key_and_nothing_behind_it_is_handled() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        let dead = Parked::Dead;
        parking.park(&record("a", 1), &fault(), dead).await.unwrap();

        let behind = parking.park_behind(&record("a", 2)).await.unwrap();

        assert_eq!(behind, Fence::Parked);
        assert_eq!(drain(parking).await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_consumer_that_begins_is_told_every_fenced_key_once() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        for (key, offset) in [("b", 1), ("a", 2), ("b", 3)] {
            let parked = record(key, offset);
            parking.park(&parked, &fault(), LATER).await.unwrap();
        }
        let dead = Parked::Dead;
        parking.park(&record("c", 4), &fault(), dead).await.unwrap();
        parking.park(&without_key(5), &fault(), DUE).await.unwrap();

        let fenced = fenced_keys(parking).await;

        let keys = ["a", "b", "c"].map(|key| key.as_bytes().to_vec());
        assert_eq!(fenced, Fenced::Keys(keys.to_vec()));
    })
    .await;
}

#[tokio::test]
async fn more_keys_than_are_worth_keeping_are_too_many() {
    on_every_database(async |database| {
        let most = i64::try_from(MOST_FENCED_KEYS).unwrap();
        database.fence_keys(most).await;

        let all = fenced_keys(&*database.parking).await;
        let last = record("one more", most + 1);
        database.parking.park(&last, &fault(), DUE).await.unwrap();
        let too_many = fenced_keys(&*database.parking).await;

        assert!(matches!(all, Fenced::Keys(keys) if keys.len() == MOST_FENCED_KEYS));
        assert_eq!(too_many, Fenced::TooMany);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_parked_twice_stays_as_it_was() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        parking.park(&record("a", 1), &fault(), DUE).await.unwrap();

        let again = record("a", 1);
        parking.park(&again, &fault(), Parked::Dead).await.unwrap();
        let behind = parking.park_behind(&again).await.unwrap();

        assert_eq!(behind, Fence::Parked);
        assert_eq!(drain(parking).await, [1]);
    })
    .await;
}

#[tokio::test]
async fn a_record_at_the_same_place_of_a_topic_created_anew_is_another_one() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        let first = record("a", 1);
        let second = Record {
            timestamp_ms: Some(1_800_000_000_000),
            ..record("b", 1)
        };

        parking.park(&first, &fault(), DUE).await.unwrap();
        parking.park(&second, &fault(), DUE).await.unwrap();

        assert_eq!(drain(parking).await, [1, 1]);
    })
    .await;
}

#[tokio::test]
async fn keys_without_an_order_fence_nothing() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        let long = "x".repeat(LONGEST_KEY + 1);
        for unordered in [without_key(1), record(&long, 2)] {
            parking.park(&unordered, &fault(), DUE).await.unwrap();
        }

        assert_eq!(
            parking.park_behind(&without_key(3)).await.unwrap(),
            Fence::Open
        );
        assert_eq!(
            parking.park_behind(&record(&long, 4)).await.unwrap(),
            Fence::Open
        );
        assert_eq!(fenced_keys(parking).await, Fenced::Keys(vec![]));
        assert_eq!(offsets(&claim(parking, SWEEPER).await), [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn the_longest_key_with_an_order_is_fenced() {
    on_every_database(async |database| {
        let parking = &*database.parking;
        let key = "x".repeat(LONGEST_KEY);
        parking.park(&record(&key, 1), &fault(), DUE).await.unwrap();

        let behind = parking.park_behind(&record(&key, 2)).await.unwrap();

        assert_eq!(behind, Fence::Parked);
    })
    .await;
}
