//! Blocked keys when their partition moves, comes back, or cannot begin its session.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use tokio::sync::Semaphore;

use super::group::{self, SESSION, Squatter};
use super::scripted_handler::{ScriptedHandler, until_committed, until_handled, until_stored};
use mock_kafka::retry_store::{MAX_STORES, TestRetryStore};
use mock_kafka::{Broker, DEAD_LETTERS, PARTITIONS, SHORT_RETRY, eventually, start_member};

/// A waiting handler never ends within this, so its partition is revoked while it runs.
const SHORT_DRAIN: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_waits_for_the_database_is_given_back_at_once() {
    let broker = Broker::start();
    broker.retry_store.go_away();
    broker.publish_to(0, "a", "a1").await;
    let handler = ScriptedHandler::failing(&[]);
    let consumer = broker.start_consumer(handler.clone());
    eventually("every partition has asked several times", async || {
        broker.retry_store.times_turned_away() > 20
    })
    .await;
    assert_eq!(
        handler.times_tried("a1"),
        0,
        "started without its blocked keys"
    );

    // Handlers may take eight seconds to end; nothing has begun here.
    let stopped = tokio::time::timeout(Duration::from_secs(6), consumer.stop()).await;
    assert!(stopped.is_ok(), "the stop waited for the database");
    broker.retry_store.come_back();

    let consumer = broker.start_consumer(handler.clone());
    until_handled(&handler, &["a1"]).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_key_is_blocked_in_the_next_owner_of_the_partition() {
    let broker = Broker::start_with(TestRetryStore::postgres(), SHORT_RETRY);
    let keys = ["a", "b", "c"];
    for (partition, key) in (0..PARTITIONS).zip(keys) {
        broker.publish_to(partition, key, &format!("{key}1")).await;
    }
    let handler = ScriptedHandler::failing(&["a1", "b1", "c1"]);
    let first = broker.start_consumer(handler.clone());
    eventually(
        "each partition has an event in the retry store",
        async || broker.retry_store.rows().await.len() == 3,
    )
    .await;

    // The other member has connections of its own.
    let elsewhere = TestRetryStore::at(&broker.retry_store.url().await);
    let (kafka, retry_policy) = (broker.config(), broker.retry_policy);
    let second = start_member(
        &kafka,
        retry_policy,
        handler.clone(),
        Arc::clone(&elsewhere),
    );
    let begun = || {
        (0..PARTITIONS)
            .map(|p| elsewhere.times_begun(p))
            .sum::<usize>()
    };
    eventually("the other takes a partition over", async || begun() > 0).await;
    for (partition, key) in (0..PARTITIONS).zip(keys) {
        broker.publish_to(partition, key, &format!("{key}2")).await;
    }
    eventually("later events are in the retry store too", async || {
        broker.retry_store.rows().await.len() == 6
    })
    .await;
    assert!(
        keys.iter()
            .all(|key| handler.times_tried(&format!("{key}2")) == 0)
    );

    handler.recover();
    broker.retry_store.time_passes().await;
    until_stored(&broker.retry_store, []).await;
    for key in keys {
        let of_key = |payload: &String| payload.starts_with(key);
        let handled: Vec<String> = handler.handled().into_iter().filter(of_key).collect();
        assert_eq!(handled, [format!("{key}1"), format!("{key}2")]);
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stored_at_the_end_of_an_assignment_blocks_its_key_in_the_next_one() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    let handler = ScriptedHandler::failing(&["a1"]);
    let held_up = broker
        .retry_store
        .stores
        .acquire_many(MAX_STORES as u32)
        .await
        .unwrap();
    for partition in 0..PARTITIONS {
        let key = format!("a-{partition}");
        broker.publish_to(partition, &key, "a1").await;
        broker.publish_to(partition, &key, "a2").await;
    }
    let member = group::start_member(&broker, SHORT_DRAIN, handler.clone());
    eventually("each partition is about to store its event", async || {
        broker.retry_store.times_asked_to_store() == 3
    })
    .await;

    let squatter = Squatter::join(&broker);
    eventually("a partition moves", async || {
        !squatter.assigned().is_empty()
    })
    .await;
    let moved = squatter.assigned()[0];
    squatter.leave().await;
    eventually("it comes back", async || {
        broker.retry_store.times_begun(moved) == 2
    })
    .await;
    handler.recover();
    drop(held_up);

    until_committed(&broker, moved, 2).await;
    assert_eq!(
        broker.retry_store.stored().await.len(),
        6,
        "all are stored in order"
    );
    assert_eq!(
        handler.handled(),
        [""; 0],
        "handled although its key is blocked"
    );
    broker.retry_store.time_passes().await;
    until_stored(&broker.retry_store, []).await;
    assert_eq!(handler.handled().len(), 6);
    member.stop().await;
}

/// Rejects the first event of each partition, when it is let, and handles it when it comes again.
struct Late {
    begun: AtomicUsize,
    gate: Semaphore,
    handled: Mutex<Vec<i32>>,
}

#[async_trait]
impl Handler for Late {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        if self.begun.fetch_add(1, Ordering::AcqRel) < PARTITIONS as usize {
            self.gate.acquire().await.unwrap().forget();
            return Err(Failure::reject("too late"));
        }
        self.handled.lock().unwrap().push(delivery.partition);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reject_after_the_partition_was_revoked_is_no_dead_letter() {
    let broker = Broker::start();
    let late = Arc::new(Late {
        begun: AtomicUsize::new(0),
        gate: Semaphore::new(0),
        handled: Mutex::default(),
    });
    for partition in 0..PARTITIONS {
        let key = format!("a-{partition}");
        broker.publish_to(partition, &key, "a1").await;
    }
    let member = group::start_member(&broker, SHORT_DRAIN, late.clone());
    eventually("each partition has an event in flight", async || {
        late.begun.load(Ordering::Acquire) == 3
    })
    .await;
    let squatter = Squatter::join(&broker);
    eventually("a partition moves", async || {
        !squatter.assigned().is_empty()
    })
    .await;
    let moved = squatter.assigned();
    let stayed = 3 - moved.len();

    late.gate.add_permits(3);
    eventually("those that stayed are set aside", async || {
        broker.retry_store.rows().await.len() == stayed
    })
    .await;
    squatter.leave().await;

    // The event comes again when its first handler has ended.
    eventually("those that moved are handled", async || {
        late.handled.lock().unwrap().len() == moved.len()
    })
    .await;
    assert_eq!(broker.read(DEAD_LETTERS).len(), stayed);
    assert_eq!(broker.retry_store.rows().await.len(), stayed);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_back_to_the_same_member_keeps_its_blocked_keys_and_is_not_guarded()
{
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    let handler = ScriptedHandler::failing(&["a1"]);
    for partition in 0..PARTITIONS {
        broker
            .publish_to(partition, &format!("a-{partition}"), "a1")
            .await;
    }
    let member = group::start_member(&broker, SESSION, handler.clone());
    eventually(
        "each partition has an event in the retry store",
        async || broker.retry_store.rows().await.len() == 3,
    )
    .await;

    let squatter = Squatter::join(&broker);
    eventually("a partition moves", async || {
        !squatter.assigned().is_empty()
    })
    .await;
    let moved = squatter.assigned()[0];
    assert_eq!(broker.retry_store.times_ended(moved), 1);
    squatter.leave().await;
    eventually("it comes back", async || {
        broker.retry_store.times_begun(moved) == 2
    })
    .await;
    broker.publish_to(moved, &format!("a-{moved}"), "a2").await;

    eventually("later events are in the retry store too", async || {
        broker.retry_store.rows().await.len() == 4
    })
    .await;
    assert_eq!(handler.times_tried("a2"), 0, "overtaken");
    assert!(
        !broker.retry_store.has_begun_after_a_crash(),
        "ended in order"
    );
    member.stop().await;
}
