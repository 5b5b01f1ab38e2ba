//! Placing orders: stored together, once per request id, many in one commit.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use futures::future::join_all;
use order_service::commit::{PlaceCommitter, StoreWriter};
use order_service::domain::{Availability, EventType, OrderStatus};
use order_service::store::{Placed, StoreError};
use order_service::watchers::Watchers;
use sql::group_commit::{GroupCommit, GroupCommitConfig};
use tokio_util::task::TaskTracker;

use super::NEVER;
use super::database::on_every_database;
use super::orders::{place, place_with, request};

#[tokio::test]
async fn order_history_and_event_appear_together() {
    on_every_database(async |database| {
        let command = place(&request("guest", 6));

        let answers = database
            .store
            .place(slice::from_ref(&command))
            .await
            .unwrap();

        assert_eq!(answers, [Placed::New]);
        let saved = database.store.get(command.order.id, NEVER).await.unwrap();
        assert_eq!(saved.as_ref(), Some(&command.order));
        let history = database.history(command.order.id, 0, 10).await;
        assert_eq!(history, [command.order.placed_entry(command.event_id)]);
        assert_eq!(history[0].event_type, EventType::OrderPlaced);
        let outbox = database.outbox().await;
        assert_eq!(outbox.len(), 1);
        assert_eq!(outbox[0].record, command.event);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_returns_the_saved_order_and_announces_nothing() {
    on_every_database(async |database| {
        let request = request("guest", 6);
        let first = place(&request);
        database.store.place(slice::from_ref(&first)).await.unwrap();

        let again = place(&request);
        let answers = database.store.place(slice::from_ref(&again)).await.unwrap();

        assert_eq!(answers, [Placed::Duplicate(first.order)]);
        assert_eq!(
            database.store.get(again.order.id, NEVER).await.unwrap(),
            None
        );
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_command_repeated_after_an_unknown_outcome_finds_its_own_order() {
    on_every_database(async |database| {
        let command = place(&request("guest", 6));
        database
            .store
            .place(slice::from_ref(&command))
            .await
            .unwrap();

        let answers = database
            .store
            .place(slice::from_ref(&command))
            .await
            .unwrap();

        assert_eq!(answers, [Placed::Duplicate(command.order)]);
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_availability_is_read_back_as_placed() {
    on_every_database(async |database| {
        for availability in Availability::ALL {
            let command = place_with(&request("guest", 6), availability);

            database
                .store
                .place(slice::from_ref(&command))
                .await
                .unwrap();

            let saved = database.store.get(command.order.id, NEVER).await.unwrap();
            assert_eq!(saved.unwrap().availability, availability);
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_returns_the_availability_of_the_first() {
    on_every_database(async |database| {
        let request = request("guest", 6);
        let first = place_with(&request, Availability::Confirmed);
        database.store.place(slice::from_ref(&first)).await.unwrap();

        let again = place_with(&request, Availability::Unverified);
        let answers = database.store.place(&[again]).await.unwrap();

        assert_eq!(answers, [Placed::Duplicate(first.order)]);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_found_if_it_was_placed_and_only_then() {
    on_every_database(async |database| {
        let original = request("guest", 6);
        let command = place(&original);
        let look = async |request| database.store.placed_before(request, NEVER).await.unwrap();
        assert_eq!(look(&original).await, None);

        database
            .store
            .place(slice::from_ref(&command))
            .await
            .unwrap();

        let mut other = request("guest", 7);
        other.request_id = original.request_id;
        let mut stranger = request("stranger", 6);
        stranger.request_id = original.request_id;
        assert_eq!(
            look(&original).await,
            Some(Placed::Duplicate(command.order))
        );
        assert_eq!(look(&other).await, Some(Placed::Conflict));
        assert_eq!(look(&stranger).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_request_id_with_another_body_conflicts() {
    on_every_database(async |database| {
        let original = request("guest", 6);
        database.store.place(&[place(&original)]).await.unwrap();
        let mut other = request("guest", 7);
        other.request_id = original.request_id;

        let answers = database.store.place(&[place(&other)]).await.unwrap();

        assert_eq!(answers, [Placed::Conflict]);
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_id_belongs_to_its_customer() {
    on_every_database(async |database| {
        let one = request("one", 6);
        let mut two = request("two", 6);
        two.request_id = one.request_id;

        let answers = database
            .store
            .place(&[place(&one), place(&two)])
            .await
            .unwrap();

        assert_eq!(answers, [Placed::New, Placed::New]);
    })
    .await;
}

#[tokio::test]
async fn equal_requests_in_one_batch_make_one_order() {
    on_every_database(async |database| {
        let original = request("guest", 6);
        let mut other = request("guest", 7);
        other.request_id = original.request_id;
        let batch = [
            place(&original),
            place(&original),
            place(&other),
            place(&request("guest", 1)),
        ];

        let answers = database.store.place(&batch).await.unwrap();

        let saved = batch[0].order.clone();
        let expected = [
            Placed::New,
            Placed::Duplicate(saved),
            Placed::Conflict,
            Placed::New,
        ];
        assert_eq!(answers, expected);
        assert_eq!(database.outbox().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_duplicate_shows_the_order_as_it_is_now() {
    on_every_database(async |database| {
        let request = request("guest", 6);
        let first = place(&request);
        let order_id = first.order.id;
        database.store.place(&[first]).await.unwrap();
        database
            .store
            .cancel(&[super::orders::cancel(order_id)])
            .await
            .unwrap();

        let answers = database.store.place(&[place(&request)]).await.unwrap();

        let Placed::Duplicate(order) = &answers[0] else {
            panic!("{answers:?}");
        };
        assert_eq!(order.status, OrderStatus::CancelRequested);
        assert_eq!(order.version, 2);
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_any_size_is_one_commit_with_an_answer_each() {
    on_every_database(async |database| {
        let batch: Vec<_> = (1..=2_500)
            .map(|pieces| place(&request("guest", pieces)))
            .collect();

        let answers = database.store.place(&batch).await.unwrap();

        assert_eq!(answers, vec![Placed::New; 2_500]);
        // Events of different orders have no order among each other.
        let keys: BTreeSet<_> = database
            .outbox()
            .await
            .into_iter()
            .map(|row| row.record.key.clone())
            .collect();
        let placed: BTreeSet<_> = batch
            .iter()
            .map(|command| command.event.key.clone())
            .collect();
        assert_eq!(keys.len(), 2_500);
        assert_eq!(keys, placed);
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_behind() {
    on_every_database(async |database| {
        let taken = place(&request("guest", 6));
        database.store.place(slice::from_ref(&taken)).await.unwrap();
        let good = place(&request("guest", 1));
        let mut stranger = place(&request("guest", 2));
        stranger.order.id = taken.order.id;

        let failure = database.store.place(&[good.clone(), stranger]).await;

        assert!(
            matches!(failure, Err(StoreError::Damaged { .. })),
            "{failure:?}"
        );
        assert_eq!(
            database.store.get(good.order.id, NEVER).await.unwrap(),
            None
        );
        assert_eq!(database.history(good.order.id, 0, 10).await, []);
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn one_bad_command_does_not_fail_its_neighbours() {
    on_every_database(async |database| {
        let taken = place(&request("guest", 6));
        database.store.place(slice::from_ref(&taken)).await.unwrap();
        let mut bad = place(&request("guest", 2));
        bad.order.id = taken.order.id;
        let commands = [
            place(&request("guest", 1)),
            bad,
            place(&request("guest", 3)),
        ];

        let store = Arc::clone(&database.store);
        let store = StoreWriter::new(store, Watchers::default());
        let committer = PlaceCommitter(store);
        let config = GroupCommitConfig::default();
        let writer = GroupCommit::start(committer, config, &TaskTracker::new());
        let answers = join_all(commands.map(|command| writer.submit(command))).await;

        assert!(matches!(answers[0], Ok(Placed::New)));
        assert!(answers[1].is_err());
        assert!(matches!(answers[2], Ok(Placed::New)));
    })
    .await;
}

#[tokio::test]
async fn what_is_confirmed_is_there_after_a_restart() {
    on_every_database(async |database| {
        let request = request("guest", 6);
        let command = place(&request);
        database
            .store
            .place(slice::from_ref(&command))
            .await
            .unwrap();

        let database = database.reopen().await;

        let saved = database.store.get(command.order.id, NEVER).await.unwrap();
        assert_eq!(saved.as_ref(), Some(&command.order));
        let answers = database.store.place(&[place(&request)]).await.unwrap();
        assert_eq!(answers, [Placed::Duplicate(command.order)]);
        assert_eq!(database.outbox().await.len(), 1);
    })
    .await;
}
