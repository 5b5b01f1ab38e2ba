//! The consumer against librdkafka's mock cluster: order, retries, dead letters, offsets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use mock_kafka::{Broker, DEAD_LETTERS, GROUP, TOPIC, eventually};
use tokio::sync::Semaphore;

/// Records the handled events. Payloads are instructions: `reject`, `panic`, `retry-N` (fails N times), `wait` (for a permit).
#[derive(Default)]
struct PayloadHandler {
    handled: Mutex<Vec<(String, String)>>,
    begun: AtomicU32,
    gate: Option<Arc<Semaphore>>,
}

impl PayloadHandler {
    fn handled(&self) -> Vec<(String, String)> {
        self.handled.lock().unwrap().clone()
    }

    fn of_key(&self, key: &str) -> Vec<String> {
        let handled = self.handled().into_iter();
        handled
            .filter(|(k, _)| k == key)
            .map(|(_, payload)| payload)
            .collect()
    }
}

#[async_trait]
impl Handler for PayloadHandler {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        self.begun.fetch_add(1, Ordering::AcqRel);
        let key = String::from_utf8_lossy(delivery.key.as_deref().unwrap_or_default()).into_owned();
        let payload =
            String::from_utf8_lossy(delivery.payload.as_deref().unwrap_or_default()).into_owned();
        if payload == "reject" {
            return Err(Failure::reject("told to"));
        }
        assert!(payload != "panic", "told to panic");
        if let Some(times) = payload.strip_prefix("retry-")
            && delivery.attempt() <= times.parse().unwrap()
        {
            return Err(Failure::retry("told to"));
        }
        if let (true, Some(gate)) = (payload == "wait", &self.gate) {
            gate.acquire().await.unwrap().forget();
        }
        self.handled.lock().unwrap().push((key, payload));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_key_are_handled_in_order_also_when_one_must_be_retried() {
    let broker = Broker::start();
    broker.publish("a", "1").await;
    broker.publish("a", "retry-2").await;
    broker.publish("a", "3").await;

    let handler = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(handler.clone());

    eventually("all are handled", async || handler.handled().len() == 3).await;
    assert_eq!(handler.of_key("a"), ["1", "retry-2", "3"]);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_waits_for_its_retry_holds_up_no_other_key() {
    let broker = Broker::start();
    broker.publish("stuck", "retry-1000").await;
    for key in 0..50 {
        broker.publish(&key.to_string(), "go").await;
    }

    let handler = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(handler.clone());

    eventually("the others are handled", async || {
        handler.handled().len() == 50
    })
    .await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_goes_to_the_dead_letters_with_its_provenance_and_the_rest_goes_on() {
    let broker = Broker::start();
    let own = [("traceparent", "00-ab-cd-01"), ("x-dlq-reason", "earlier")];
    broker.publish_with(&own, "a", "reject").await;
    broker.publish("b", "2").await;

    let handler = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(handler.clone());

    eventually(
        "the rest is handled, and the record set aside",
        async || handler.of_key("b") == ["2"] && broker.retry_store.rows().await.len() == 1,
    )
    .await;
    let letter = &broker.read(DEAD_LETTERS)[0];
    assert_eq!(letter.payload, b"reject");
    assert_eq!(letter.key, "a");
    assert_eq!(letter.header_names(), DEAD_LETTER_HEADERS);
    for (name, value) in [
        ("traceparent", "00-ab-cd-01"),
        ("x-dlq-original-topic", TOPIC),
        ("x-dlq-original-offset", "0"),
        ("x-dlq-consumer-group", GROUP),
        ("x-dlq-error-class", "rejected"),
        ("x-dlq-reason", "told to"),
        ("x-dlq-attempts", "1"),
        ("x-dlq-redrives", "0"),
        ("x-dlq-service", "consumer-tests"),
        ("x-dlq-service-version", "1.2.3"),
    ] {
        assert_eq!(letter.header(name), Some(value), "{name}");
    }
    consumer.stop().await;
}

/// The headers of the record, unchanged, then its provenance.
const DEAD_LETTER_HEADERS: [&str; 14] = [
    "traceparent",
    "x-dlq-original-topic",
    "x-dlq-original-partition",
    "x-dlq-original-offset",
    "x-dlq-original-timestamp",
    "x-dlq-consumer-group",
    "x-dlq-error-class",
    "x-dlq-reason",
    "x-dlq-attempts",
    "x-dlq-first-failed-at",
    "x-dlq-last-failed-at",
    "x-dlq-redrives",
    "x-dlq-service",
    "x-dlq-service-version",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_makes_the_handler_panic_is_set_aside_after_three_attempts() {
    let broker = Broker::start();
    broker.publish("a", "panic").await;
    broker.publish("b", "2").await;

    let handler = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(handler.clone());

    eventually(
        "the rest is handled, and the record set aside",
        async || handler.of_key("b") == ["2"] && broker.retry_store.rows().await.len() == 1,
    )
    .await;
    let letter = &broker.read(DEAD_LETTERS)[0];
    assert_eq!(letter.header("x-dlq-attempts"), Some("3"));
    assert_eq!(letter.header("x-dlq-error-class"), Some("panicked"));
    let reason = letter.header("x-dlq-reason").unwrap();
    assert!(!reason.contains("told to"), "quotes the panic: {reason}");
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_commits_what_was_done_and_the_next_consumer_gets_nothing_twice() {
    let broker = Broker::start();
    for number in 0..100 {
        broker.publish(&number.to_string(), "go").await;
    }
    let first = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(first.clone());
    eventually("all are handled", async || first.handled().len() == 100).await;
    consumer.stop().await;

    broker.publish("last", "go").await;
    let second = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(second.clone());

    eventually("the new one is handled", async || {
        !second.handled().is_empty()
    })
    .await;
    assert_eq!(second.handled(), [("last".to_owned(), "go".to_owned())]);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_amid_a_rebalance_commits_as_soon_as_the_group_takes_commits_again() {
    let broker = Broker::start();
    broker.publish("a", "go").await;
    let first = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(first.clone());
    eventually("it is handled", async || !first.handled().is_empty()).await;
    broker.publish("b", "go").await;
    broker.refuse_commits(8);
    eventually("the other is handled", async || first.handled().len() == 2).await;
    consumer.stop().await;

    broker.publish("last", "go").await;
    let second = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(second.clone());

    eventually("the new one is handled", async || {
        second.of_key("last") == ["go"]
    })
    .await;
    assert_eq!(second.handled().len(), 1, "{:?}", second.handled());
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_refused_is_made_again_although_nothing_else_happens() {
    let broker = Broker::start();
    broker.refuse_commits(1);
    broker.publish_to(0, "a", "go").await;

    let handler = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(handler.clone());

    eventually("it is committed", async || broker.committed(0).await == 1).await;
    assert_eq!(handler.handled().len(), 1);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_when_the_consumer_stopped_is_delivered_again() {
    let broker = Broker::start();
    broker.publish("stuck", "retry-1000").await;
    broker.publish("stuck", "behind").await;
    broker.publish("other", "go").await;
    let first = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(first.clone());
    eventually("the other is handled", async || {
        first.of_key("other") == ["go"]
    })
    .await;
    consumer.stop().await;

    let seen = Arc::new(SeenAgain::default());
    let consumer = broker.start_consumer(seen.clone());

    eventually("the stuck key is delivered again", async || {
        let payloads = seen.0.lock().unwrap();
        payloads.contains(&"retry-1000".to_owned()) && payloads.contains(&"behind".to_owned())
    })
    .await;
    consumer.stop().await;
}

#[derive(Default)]
struct SeenAgain(Mutex<Vec<String>>);

#[async_trait]
impl Handler for SeenAgain {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let payload =
            String::from_utf8_lossy(delivery.payload.as_deref().unwrap_or_default()).into_owned();
        self.0.lock().unwrap().push(payload);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_handler_that_is_at_work() {
    let broker = Broker::start();
    broker.publish("a", "wait").await;
    let gate = Arc::new(Semaphore::new(0));
    let handler = Arc::new(PayloadHandler {
        gate: Some(Arc::clone(&gate)),
        ..PayloadHandler::default()
    });
    let consumer = broker.start_consumer(handler.clone());
    eventually("the handler is at work", async || {
        handler.begun.load(Ordering::Acquire) == 1
    })
    .await;

    let stopping = consumer.stop();
    tokio::pin!(stopping);
    let waits = tokio::time::timeout(Duration::from_secs(1), &mut stopping).await;
    assert!(waits.is_err(), "the stop did not wait");
    gate.add_permits(1);
    stopping.await;

    // Its event was committed: the next consumer starts behind it.
    broker.publish("b", "next").await;
    let next = Arc::new(PayloadHandler::default());
    let consumer = broker.start_consumer(next.clone());
    eventually("the next is handled", async || !next.of_key("b").is_empty()).await;
    assert_eq!(handler.of_key("a"), ["wait"]);
    assert!(next.of_key("a").is_empty(), "delivered again");
    consumer.stop().await;
}
