//! Partition sessions: the next owner of a partition learns whether the previous one ended cleanly.

use consumer::retry_store::{RetryStore, TopicPartition};
use uuid::Uuid;

use super::database::on_every_database;
use super::records::{TOPIC, record};

const FIRST: Uuid = Uuid::from_u128(11);
const SECOND: Uuid = Uuid::from_u128(12);

fn partition() -> TopicPartition {
    TopicPartition {
        topic: TOPIC.to_owned(),
        partition: 3,
    }
}

async fn starts_after_a_crash(retry_store: &dyn RetryStore, owner: Uuid) -> bool {
    let start = retry_store
        .begin_session(&partition(), owner)
        .await
        .unwrap();
    start.after_a_crash
}

#[tokio::test]
async fn the_first_session_and_one_after_a_clean_end_start_without_a_crash() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;

        assert!(!starts_after_a_crash(retry_store, FIRST).await);
        retry_store.end_session(&partition(), FIRST).await.unwrap();
        assert!(!starts_after_a_crash(retry_store, SECOND).await);
    })
    .await;
}

#[tokio::test]
async fn a_session_after_one_that_did_not_end_starts_after_a_crash() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        starts_after_a_crash(retry_store, FIRST).await;

        assert!(starts_after_a_crash(retry_store, SECOND).await);
        retry_store.end_session(&partition(), SECOND).await.unwrap();
        assert!(!starts_after_a_crash(retry_store, FIRST).await);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_begin_has_the_same_answer() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;

        assert!(!starts_after_a_crash(retry_store, FIRST).await);
        assert!(!starts_after_a_crash(retry_store, FIRST).await);
        assert!(starts_after_a_crash(retry_store, SECOND).await);
        assert!(starts_after_a_crash(retry_store, SECOND).await);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_an_owner_after_another_has_begun_is_a_no_op() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        starts_after_a_crash(retry_store, FIRST).await;
        starts_after_a_crash(retry_store, SECOND).await;

        retry_store.end_session(&partition(), FIRST).await.unwrap();

        assert!(starts_after_a_crash(retry_store, FIRST).await);
    })
    .await;
}

#[tokio::test]
async fn partitions_have_owners_of_their_own() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        starts_after_a_crash(retry_store, FIRST).await;
        let other = TopicPartition {
            partition: 4,
            ..partition()
        };

        let start = retry_store.begin_session(&other, SECOND).await.unwrap();

        assert!(!start.after_a_crash);
    })
    .await;
}

#[tokio::test]
async fn attempts_are_counted_per_record_until_they_are_forgotten() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let (killer, innocent) = (record("a", 1), record("b", 2));

        assert_eq!(retry_store.count_attempt(&killer).await.unwrap(), 1);
        assert_eq!(retry_store.count_attempt(&innocent).await.unwrap(), 1);
        assert_eq!(retry_store.count_attempt(&killer).await.unwrap(), 2);
        retry_store.forget_attempts(&innocent).await.unwrap();
        retry_store.forget_attempts(&innocent).await.unwrap();

        assert_eq!(retry_store.count_attempt(&innocent).await.unwrap(), 1);
        assert_eq!(retry_store.count_attempt(&killer).await.unwrap(), 3);
    })
    .await;
}
