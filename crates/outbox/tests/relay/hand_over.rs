//! The hand-over from the writers of a process to its relay.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use outbox::{Backlog, HandOver, Outbox, OutboxError, OutboxRow, Shard};

use mock_kafka::postgres::SharedDatabase;
use mock_kafka::{Broker, Database, Published, TOPIC, eventually};

use crate::records::records;

/// A table in which scans find nothing, from a moment on.
struct Blindfold {
    outbox: Arc<dyn Outbox>,
    is_on: AtomicBool,
}

impl Blindfold {
    fn around(outbox: Arc<dyn Outbox>) -> Arc<Self> {
        let is_on = AtomicBool::new(false);
        Arc::new(Self { outbox, is_on })
    }
}

#[async_trait]
impl Outbox for Blindfold {
    async fn positions(
        &self,
        shards: &[Shard],
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, OutboxError> {
        if self.is_on.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.outbox.positions(shards, after, limit).await
    }

    async fn read(&self, positions: &[i64]) -> Result<Vec<OutboxRow>, OutboxError> {
        self.outbox.read(positions).await
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        self.outbox.delete(acknowledged).await
    }

    async fn note_blocked(&self, rows: &[i64]) -> Result<(), OutboxError> {
        self.outbox.note_blocked(rows).await
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        self.outbox.backlog(at_most).await
    }

    fn has_other_writers(&self) -> bool {
        self.outbox.has_other_writers()
    }
}

/// All events of each key, in the order of the topic.
fn by_key(published: &[Published]) -> HashMap<String, Vec<usize>> {
    let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
    for record in published {
        let event = String::from_utf8_lossy(&record.payload).parse().unwrap();
        by_key.entry(record.key.clone()).or_default().push(event);
    }
    by_key
}

fn assert_once_and_in_order(broker: &Broker, keys: usize, events: usize) {
    let published = by_key(&broker.read(TOPIC));
    assert_eq!(published.len(), keys);
    for (key, found) in published {
        assert_eq!(found, (0..events).collect::<Vec<_>>(), "{key}");
    }
}

async fn until_published(outbox: &dyn Outbox) {
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handed_over_events_are_published_without_reading_the_table() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let table = Blindfold::around(database.outbox());
    let hand_over = HandOver::default();
    let relay = database.start_relay_on(&broker, table.clone(), hand_over.clone());
    database.until_shards_are_divided(&[32]).await;
    hand_over.committed(database.write(&records(20, 0..1)).await);
    until_published(&*table).await;

    table.is_on.store(true, Ordering::SeqCst);
    for event in 1..10 {
        hand_over.committed(database.write(&records(20, event..event + 1)).await);
    }
    hand_over.committed(database.write(&records(20, 10..13)).await);

    until_published(&*table).await;
    assert_once_and_in_order(&broker, 20, 13);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_writer_handed_over_events_are_published_without_reading_the_table() {
    let (broker, database) = (Broker::start(), Database::create().await);
    let table = Blindfold::around(Arc::new(database.outbox()));
    let relay = database.start_relay_on(&broker, table.clone());
    database.write(&records(20, 0..1)).await;
    until_published(&*table).await;

    table.is_on.store(true, Ordering::SeqCst);
    for event in 1..10 {
        database.write(&records(20, event..event + 1)).await;
    }

    until_published(&*table).await;
    assert_once_and_in_order(&broker, 20, 10);
    relay.stop().await;
}

/// As when another replica has written it, or its writer died after the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_not_handed_over_is_published_before_the_later_ones_of_its_key() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let hand_over = HandOver::default();
    let relay = database.start_relay_with(&broker, hand_over.clone());
    database.until_shards_are_divided(&[32]).await;

    for round in 0..20 {
        database.write(&records(5, 2 * round..2 * round + 1)).await;
        let later = records(5, 2 * round + 1..2 * round + 2);
        hand_over.committed(database.write(&later).await);
    }

    database.until_published().await;
    assert_once_and_in_order(&broker, 5, 40);
    relay.stop().await;
}

/// Each replica hands over to its own relay, which holds the half of the shards; the other half it leaves to the other.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_write_events_of_the_same_keys_publish_each_once_and_in_order() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let hand_overs = [HandOver::default(), HandOver::default()];
    let start = |hand_over: &HandOver| database.start_relay_with(&broker, hand_over.clone());
    let relays = [start(&hand_overs[0]), start(&hand_overs[1])];
    database.until_shards_are_divided(&[16, 16]).await;

    for event in 0..40 {
        let inserted = database.write(&records(40, event..event + 1)).await;
        hand_overs[event % 2].committed(inserted);
    }

    database.until_published().await;
    assert_once_and_in_order(&broker, 40, 40);
    for relay in relays {
        relay.stop().await;
    }
}

/// More rows than the hand-over has room for, in one commit.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_overflow_of_the_hand_over_everything_is_published_once_and_in_order() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let hand_over = HandOver::default();
    let relay = database.start_relay_with(&broker, hand_over.clone());
    database.until_shards_are_divided(&[32]).await;

    for round in 0..3 {
        let batch = 20 * round..20 * round + 19;
        hand_over.committed(database.write(&records(300, batch.clone())).await);
        let next = batch.end..batch.end + 1;
        hand_over.committed(database.write(&records(300, next)).await);
    }

    database.until_published().await;
    assert_once_and_in_order(&broker, 300, 60);
    relay.stop().await;
}
