//! What the next owner of a partition is told of the one before it.

use consumer::retry_store::{RetryStore, Source};
use uuid::Uuid;

use crate::database::on_every_database;
use crate::records::{TOPIC, record};

const FIRST: Uuid = Uuid::from_u128(11);
const SECOND: Uuid = Uuid::from_u128(12);

fn source() -> Source {
    Source {
        topic: TOPIC.to_owned(),
        partition: 3,
    }
}

async fn begins_after_a_crash(retry_store: &dyn RetryStore, owner: Uuid) -> bool {
    let beginning = retry_store.begin(&source(), owner).await.unwrap();
    beginning.after_a_crash
}

#[tokio::test]
async fn the_first_owner_and_one_after_an_orderly_end_are_told_of_no_crash() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;

        assert!(!begins_after_a_crash(retry_store, FIRST).await);
        retry_store.end(&source(), FIRST).await.unwrap();
        assert!(!begins_after_a_crash(retry_store, SECOND).await);
    })
    .await;
}

#[tokio::test]
async fn the_owner_after_one_that_did_not_end_is_told_of_a_crash() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        begins_after_a_crash(retry_store, FIRST).await;

        assert!(begins_after_a_crash(retry_store, SECOND).await);
        retry_store.end(&source(), SECOND).await.unwrap();
        assert!(!begins_after_a_crash(retry_store, FIRST).await);
    })
    .await;
}

#[tokio::test]
async fn a_beginning_that_is_repeated_is_answered_alike() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;

        assert!(!begins_after_a_crash(retry_store, FIRST).await);
        assert!(!begins_after_a_crash(retry_store, FIRST).await);
        assert!(begins_after_a_crash(retry_store, SECOND).await);
        assert!(begins_after_a_crash(retry_store, SECOND).await);
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_ends_after_another_has_begun_changes_nothing() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        begins_after_a_crash(retry_store, FIRST).await;
        begins_after_a_crash(retry_store, SECOND).await;

        retry_store.end(&source(), FIRST).await.unwrap();

        assert!(begins_after_a_crash(retry_store, FIRST).await);
    })
    .await;
}

#[tokio::test]
async fn partitions_have_owners_of_their_own() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        begins_after_a_crash(retry_store, FIRST).await;
        let other = Source {
            partition: 4,
            ..source()
        };

        let beginning = retry_store.begin(&other, SECOND).await.unwrap();

        assert!(!beginning.after_a_crash);
    })
    .await;
}

#[tokio::test]
async fn attempts_are_counted_per_record_until_they_are_forgotten() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let (killer, innocent) = (record("a", 1), record("b", 2));

        assert_eq!(retry_store.note_attempt(&killer).await.unwrap(), 1);
        assert_eq!(retry_store.note_attempt(&innocent).await.unwrap(), 1);
        assert_eq!(retry_store.note_attempt(&killer).await.unwrap(), 2);
        retry_store.forget_attempts(&innocent).await.unwrap();
        retry_store.forget_attempts(&innocent).await.unwrap();

        assert_eq!(retry_store.note_attempt(&innocent).await.unwrap(), 1);
        assert_eq!(retry_store.note_attempt(&killer).await.unwrap(), 3);
    })
    .await;
}
