//! Events that cannot be handled: moved to the retry store in the order of their key, retried, dead, redriven, skipped.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler, RetryPolicy};

use super::scripted_handler::{ScriptedHandler, until_committed, until_handled, until_stored};
use mock_kafka::retry_store::TestRetryStore;
use mock_kafka::{Broker, DEAD_LETTERS, LONG_RETRY, SHORT_RETRY, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_retries_are_spent_is_in_the_retry_store_and_other_keys_go_on() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    broker.publish_to(0, "a", "a1").await;
    broker.publish_to(0, "b", "b1").await;
    let handler = ScriptedHandler::failing(&["a1"]);

    let consumer = broker.start_consumer(handler.clone());

    until_handled(&handler, &["b1"]).await;
    until_committed(&broker, 0, 2).await;
    let rows = broker.retry_store.rows().await;
    assert_eq!(
        (rows[0].key(), rows[0].payload()),
        ("a".into(), "a1".into())
    );
    assert_eq!(rows[0].state, "WAITING");
    assert_eq!(rows[0].fault_class.as_deref(), Some("retries-spent"));
    assert_eq!(rows[0].fault_message.as_deref(), Some("not yet"));
    assert!(rows[0].attempts > 1, "{rows:?}");
    assert!(broker.read(DEAD_LETTERS).is_empty());
    consumer.stop().await;
}

async fn later_events_wait_in_order(retry_store: Arc<TestRetryStore>) {
    let broker = Broker::start_with(retry_store, SHORT_RETRY);
    for payload in ["a1", "a2", "a3"] {
        broker.publish_to(0, "a", payload).await;
    }
    let handler = ScriptedHandler::failing(&["a1"]);
    let consumer = broker.start_consumer(handler.clone());
    let all = [("a1", "WAITING"), ("a2", "WAITING"), ("a3", "WAITING")];
    until_stored(&broker.retry_store, all).await;
    until_committed(&broker, 0, 3).await;
    assert_eq!(handler.times_tried("a2"), 0, "overtaken");

    handler.recover();
    broker.retry_store.time_passes().await;

    until_handled(&handler, &["a1", "a2", "a3"]).await;
    until_stored(&broker.retry_store, []).await;
    broker.publish_to(0, "a", "a4").await;
    until_handled(&handler, &["a1", "a2", "a3", "a4"]).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_events_of_a_stored_key_are_handled_in_order_when_the_cause_has_passed() {
    later_events_wait_in_order(TestRetryStore::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_events_of_a_stored_key_are_handled_in_order_on_a_shared_database() {
    later_events_wait_in_order(TestRetryStore::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_stores_nothing() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    let handler = ScriptedHandler::failing(&["a1"]);
    let consumer = broker.start_consumer(handler.clone());
    broker.publish_to(0, "a", "a0").await;
    until_handled(&handler, &["a0"]).await;
    broker.retry_store.go_away();

    broker.publish_to(0, "a", "a1").await;
    broker.publish_to(0, "a", "a2").await;
    // Between two attempts lies at most the time after which it would be moved to the retry store.
    eventually(
        "its in-memory retries were spent several times",
        async || handler.times_tried("a1") > 20,
    )
    .await;
    handler.recover();
    until_handled(&handler, &["a0", "a1", "a2"]).await;
    broker.retry_store.come_back();

    until_committed(&broker, 0, 3).await;
    assert_eq!(broker.retry_store.stored().await, []);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_event_is_not_stored_and_its_offset_stays_until_the_dead_letter_topic_has_it() {
    let broker = Broker::start();
    broker.publish_to(0, "a", "bad").await;
    broker.publish_to(0, "b", "b1").await;
    for payload in ["c1", "c2"] {
        broker.publish_to(1, "c", payload).await;
    }
    broker.refuse_all_produce();
    let handler = ScriptedHandler::rejecting(&["bad"]);
    let consumer = broker.start_consumer(handler.clone());
    eventually("it is rejected, and the others go on", async || {
        handler.times_tried("bad") == 1 && handler.handled().len() == 3
    })
    .await;
    until_committed(&broker, 1, 2).await;
    assert_eq!(broker.committed(0).await, 0, "committed before it is safe");
    assert_eq!(broker.retry_store.stored().await, []);

    broker.accept_produce();

    until_stored(&broker.retry_store, [("bad", "DEAD")]).await;
    assert_eq!(broker.read(DEAD_LETTERS).len(), 1);
    until_committed(&broker, 0, 2).await;
    assert_eq!(handler.times_tried("bad"), 1, "rejected once is enough");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_published_before_it_is_in_the_retry_store_and_stored_before_its_offset_moves()
 {
    let broker = Broker::start();
    let handler = ScriptedHandler::rejecting(&["bad"]);
    let consumer = broker.start_consumer(handler.clone());
    broker.publish_to(0, "a", "a1").await;
    until_handled(&handler, &["a1"]).await;
    until_committed(&broker, 0, 1).await;
    broker.retry_store.go_away();

    broker.publish_to(0, "a", "bad").await;
    broker.publish_to(1, "c", "c1").await;
    eventually("the dead letter is published", async || {
        broker.read(DEAD_LETTERS).len() == 1
    })
    .await;
    broker.publish_to(1, "c", "c2").await;
    until_committed(&broker, 1, 2).await;
    assert_eq!(
        broker.committed(0).await,
        1,
        "committed before it is in the retry store"
    );
    broker.retry_store.come_back();

    until_stored(&broker.retry_store, [("bad", "DEAD")]).await;
    until_committed(&broker, 0, 2).await;
    assert_eq!(broker.read(DEAD_LETTERS).len(), 1, "published again");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_behind_a_dead_event_waits_for_the_operator_and_a_redrive_goes_on_in_order() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    for payload in ["bad", "a2", "a3"] {
        broker.publish_to(0, "a", payload).await;
    }
    let handler = ScriptedHandler::rejecting(&["bad"]);
    let consumer = broker.start_consumer(handler.clone());
    let all = [("bad", "DEAD"), ("a2", "WAITING"), ("a3", "WAITING")];
    until_stored(&broker.retry_store, all).await;

    handler.recover();
    broker.retry_store.redrive().await;

    until_handled(&handler, &["bad", "a2", "a3"]).await;
    until_stored(&broker.retry_store, []).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_behind_a_dead_event_is_handled_when_it_is_skipped() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    broker.publish_to(0, "a", "bad").await;
    broker.publish_to(0, "a", "a2").await;
    let handler = ScriptedHandler::rejecting(&["bad"]);
    let consumer = broker.start_consumer(handler.clone());
    until_stored(&broker.retry_store, [("bad", "DEAD"), ("a2", "WAITING")]).await;

    broker.retry_store.skip().await;

    until_handled(&handler, &["a2"]).await;
    until_stored(&broker.retry_store, [("bad", "SKIPPED")]).await;
    broker.publish_to(0, "a", "a3").await;
    until_handled(&handler, &["a2", "a3"]).await;
    assert_eq!(handler.times_tried("bad"), 1);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_event_that_is_rejected_again_is_a_dead_letter_again() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    broker.publish_to(0, "a", "bad").await;
    let handler = ScriptedHandler::rejecting(&["bad"]);
    let consumer = broker.start_consumer(handler.clone());
    until_stored(&broker.retry_store, [("bad", "DEAD")]).await;

    broker.retry_store.redrive().await;

    eventually("it is published again", async || {
        broker.read(DEAD_LETTERS).len() == 2
    })
    .await;
    until_stored(&broker.retry_store, [("bad", "DEAD")]).await;
    let letters = broker.read(DEAD_LETTERS);
    assert_eq!(letters[1].header("x-dlq-redrives"), Some("1"));
    assert_eq!(letters[1].header("x-dlq-attempts"), Some("2"));
    assert_eq!(
        letters[0].header("x-dlq-first-failed-at"),
        letters[1].header("x-dlq-first-failed-at")
    );
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_in_every_round_is_a_dead_letter_in_the_end() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    broker.publish_to(0, "a", "a1").await;
    broker.publish_to(0, "a", "a2").await;
    let handler = ScriptedHandler::failing(&["a1"]);
    let consumer = broker.start_consumer(handler.clone());
    until_stored(&broker.retry_store, [("a1", "WAITING"), ("a2", "WAITING")]).await;

    for round in 1..=2 {
        broker.retry_store.time_passes().await;
        eventually("a round has failed", async || {
            broker.retry_store.rows().await[0].rounds == round
        })
        .await;
        assert_eq!(broker.retry_store.rows().await[0].state, "WAITING");
    }
    broker.retry_store.time_passes().await;

    until_stored(&broker.retry_store, [("a1", "DEAD"), ("a2", "WAITING")]).await;
    let letters = broker.read(DEAD_LETTERS);
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0].header("x-dlq-error-class"),
        Some("retries-spent")
    );
    assert_eq!(handler.times_tried("a2"), 0, "overtaken");
    consumer.stop().await;
}

/// Handles every event but one: the database becomes unreachable in each attempt of that one.
struct Unlucky {
    retry_store: Arc<TestRetryStore>,
    handler: Arc<ScriptedHandler>,
}

#[async_trait]
impl Handler for Unlucky {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        if delivery.payload.as_deref() == Some(b"a1") {
            self.retry_store.go_away();
        }
        self.handler.handle(delivery).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_the_last_round_of_a_retry_event_makes_no_dead_letter_of_it() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    broker.publish_to(0, "a", "a1").await;
    let handler = ScriptedHandler::failing(&["a1"]);
    let first = broker.start_consumer(handler.clone());
    until_stored(&broker.retry_store, [("a1", "WAITING")]).await;
    until_committed(&broker, 0, 1).await;
    first.stop().await;
    broker.retry_store.begin_last_round().await;
    let tries = handler.times_tried("a1");

    let unlucky = Unlucky {
        retry_store: Arc::clone(&broker.retry_store),
        handler: handler.clone(),
    };
    handler.rejected.lock().unwrap().insert("bad".to_owned());
    let consumer = broker.start_consumer(Arc::new(unlucky));
    eventually("the database went away in its last round", async || {
        handler.times_tried("a1") > tries && broker.retry_store.times_turned_away() > 2
    })
    .await;
    broker.retry_store.come_back();
    broker.publish_to(0, "b", "bad").await;

    until_stored(&broker.retry_store, [("a1", "WAITING"), ("bad", "DEAD")]).await;
    assert_eq!(broker.read(DEAD_LETTERS).len(), 1, "only of the other");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_key_blocks_nothing() {
    let broker = Broker::start_with(TestRetryStore::sqlite(), SHORT_RETRY);
    for payload in ["bad", "weak", "good"] {
        broker.publish_keyless(0, payload).await;
    }
    let handler = ScriptedHandler::rejecting(&["bad"]);
    handler.failing.lock().unwrap().insert("weak".to_owned());

    let consumer = broker.start_consumer(handler.clone());

    until_committed(&broker, 0, 3).await;
    broker.publish_keyless(0, "later").await;
    until_handled(&handler, &["good", "later"]).await;
    until_stored(&broker.retry_store, [("bad", "DEAD"), ("weak", "WAITING")]).await;
    handler.recover();
    broker.retry_store.time_passes().await;
    until_handled(&handler, &["good", "later", "weak"]).await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_rejects_stops_its_partition_and_no_other_and_a_restart_goes_on() {
    const BAD: [&str; 6] = ["bad-0", "bad-1", "bad-2", "bad-3", "bad-4", "bad-5"];
    const LIMIT: usize = 3;
    let strict = RetryPolicy {
        reject_limit: 3,
        ..LONG_RETRY
    };
    let broker = Broker::start_with(TestRetryStore::sqlite(), strict);
    for payload in BAD {
        broker.publish_to(0, payload, payload).await;
    }
    let handler = ScriptedHandler::rejecting(&BAD);
    let consumer = broker.start_consumer(handler.clone());
    eventually("so many are set aside", async || {
        broker.retry_store.rows().await.len() == LIMIT
    })
    .await;

    broker.publish_to(0, "later", "later").await;
    broker.publish_to(1, "c", "c1").await;
    until_committed(&broker, 1, 1).await;
    broker.publish_to(1, "c", "c2").await;
    until_committed(&broker, 1, 2).await;

    assert_eq!(handler.times_tried("later"), 0, "read on");
    assert_eq!(broker.read(DEAD_LETTERS).len(), LIMIT);
    let set_aside: HashSet<String> = broker
        .retry_store
        .rows()
        .await
        .iter()
        .map(|r| r.payload())
        .collect();
    let first_undone = BAD.iter().position(|bad| !set_aside.contains(*bad));
    let committed = usize::try_from(broker.committed(0).await).unwrap();
    assert!(
        committed <= first_undone.unwrap(),
        "an incomplete offset was committed"
    );
    consumer.stop().await;

    handler.recover();
    let consumer = broker.start_consumer(handler.clone());
    until_committed(&broker, 0, 7).await;
    let handled: HashSet<String> = handler.handled().into_iter().collect();
    assert!(
        BAD.iter()
            .all(|bad| handled.contains(*bad) != set_aside.contains(*bad))
    );
    assert!(handled.contains("later"));
    consumer.stop().await;
}
