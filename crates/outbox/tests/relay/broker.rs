//! The relay on SQLite, with a broker that fails.

use std::collections::HashMap;

use kafka::MAX_RECORD_BYTES;
use mock_kafka::{Broker, Database, Published, TOPIC, eventually};
use outbox::{Outbox, OutboxRecord};
use rdkafka::types::RDKafkaRespErr;

fn records(keys: usize, events: usize) -> Vec<OutboxRecord> {
    let record = |event: usize, key: usize| OutboxRecord {
        topic: TOPIC.into(),
        key: format!("key-{key}"),
        headers: vec![(
            b"traceparent".to_vec(),
            Some(b"00-stored-context-01".to_vec()),
        )],
        payload: event.to_string().into_bytes(),
    };
    (0..events)
        .flat_map(|event| (0..keys).map(move |key| record(event, key)))
        .collect()
}

/// The payloads of each key, in the order of the topic, without duplicates: they may occur after errors.
fn first_occurrences(published: &[Published]) -> HashMap<String, Vec<usize>> {
    let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
    for record in published {
        let event: usize = String::from_utf8_lossy(&record.payload).parse().unwrap();
        let events = by_key.entry(record.key.clone()).or_default();
        if !events.contains(&event) {
            events.push(event);
        }
    }
    by_key
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_published_in_order_per_key_and_its_row_deleted() {
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);

    database.write(&records(20, 10)).await;

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    let published = broker.read(TOPIC);
    assert_eq!(published.len(), 200);
    for events in first_occurrences(&published).values() {
        assert_eq!(*events, (0..10).collect::<Vec<_>>());
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_trace_context_is_published_unchanged() {
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);

    database.write(&records(1, 1)).await;

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    let published = broker.read(TOPIC);
    assert_eq!(
        published[0].header("traceparent"),
        Some("00-stored-context-01")
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_broker_neither_lose_nor_reorder_events() {
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);
    let refusals = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    ];
    broker.refuse_produce(&refusals);

    database.write(&records(10, 10)).await;

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    let published = first_occurrences(&broker.read(TOPIC));
    assert_eq!(published.len(), 10);
    for events in published.values() {
        assert_eq!(*events, (0..10).collect::<Vec<_>>());
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_written_during_an_outage_of_the_broker_are_published_after_it() {
    let broker = Broker::start();
    let database = Database::create().await;
    let relay = database.start_relay(&broker);
    broker.go_away();
    database.write(&records(5, 2)).await;
    assert_eq!(database.outbox().backlog(u64::MAX).await.unwrap().rows, 10);

    broker.come_back();

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_publishes_nothing_twice() {
    let broker = Broker::start();
    let database = Database::create().await;

    for _ in 0..3 {
        let relay = database.start_relay(&broker);
        database.write(&records(50, 2)).await;
        relay.stop().await;
    }
    let relay = database.start_relay(&broker);

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    assert_eq!(broker.read(TOPIC).len(), 300);
    relay.stop().await;
}

/// Publishes three events of each of five keys, of which the second of `key-0` cannot be published.
async fn assert_only_its_key_is_blocked(database: &Database, broker: &Broker) {
    let outbox = database.outbox();
    eventually("all others are published", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 2
    })
    .await;

    eventually("no event waits for its turn", async || {
        outbox.backlog(u64::MAX).await.unwrap().oldest.is_zero()
    })
    .await;

    let published = first_occurrences(&broker.read(TOPIC));
    assert_eq!(published["key-0"], [0]);
    for key in 1..5 {
        assert_eq!(published[&format!("key-{key}")], [0, 1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_blocks_its_key_and_nothing_else_until_it_is_fixed() {
    let broker = Broker::start();
    let database = Database::create().await;
    database.write(&records(5, 3)).await;
    let damaged = "key = 'key-0' AND CAST(payload AS TEXT) = '1'";
    database.set_headers(b"nonsense", damaged).await;
    let relay = database.start_relay(&broker);

    assert_only_its_key_is_blocked(&database, &broker).await;

    database.set_headers(b"", damaged).await;
    relay.stop().await;
    let relay = database.start_relay(&broker);
    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    let published = broker.read(TOPIC);
    assert_eq!(published.len(), 15);
    assert_eq!(first_occurrences(&published)["key-0"], [0, 1, 2]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_blocks_its_key_and_nothing_else() {
    let broker = Broker::start();
    let database = Database::create().await;
    let mut records = records(5, 3);
    let too_large = records.iter_mut().filter(|record| record.key == "key-0");
    let size = usize::try_from(MAX_RECORD_BYTES).unwrap() + 1;
    for (event, record) in too_large.enumerate().skip(1) {
        record.payload = vec![b'0' + u8::try_from(event).unwrap(); size];
    }
    database.write(&records).await;

    let relay = database.start_relay(&broker);

    assert_only_its_key_is_blocked(&database, &broker).await;
    relay.stop().await;
}
