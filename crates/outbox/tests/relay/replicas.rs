//! Relays that share an outbox on PostgreSQL, as the replicas of a service do.

use std::collections::HashMap;
use std::time::Duration;

use outbox::Shard;
use sqlx::Acquire;

use mock_kafka::postgres::{SharedDatabase, write};
use mock_kafka::{Broker, Published, TOPIC, eventually};

use crate::records::{record, records};

/// The events of each key in the order of the topic, without duplicates.
fn first_occurrences(published: &[Published]) -> HashMap<String, Vec<usize>> {
    let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
    for record in published {
        let event = String::from_utf8_lossy(&record.payload).parse().unwrap();
        let events = by_key.entry(record.key.clone()).or_default();
        if !events.contains(&event) {
            events.push(event);
        }
    }
    by_key
}

fn assert_every_key_in_order(published: &[Published], keys: usize, events: usize) {
    let by_key = first_occurrences(published);
    assert_eq!(by_key.len(), keys);
    for (key, found) in by_key {
        assert_eq!(found, (0..events).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_divide_the_shards_and_publish_everything_once() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let relays = [database.start_relay(&broker), database.start_relay(&broker)];
    database.until_shards_are_divided(&[16, 16]).await;

    database.write(&records(40, 0..5)).await;

    database.until_published().await;
    let published = broker.read(TOPIC);
    assert_eq!(published.len(), 200);
    assert_every_key_in_order(&published, 40, 5);
    for relay in relays {
        relay.stop().await;
    }
}

/// The broker is slow, so that events are in flight whenever shards move.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_joins_and_one_that_leaves_make_no_duplicates() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    broker.delay_answers(Duration::from_millis(100));
    let first = database.start_relay(&broker);
    database.until_shards_are_divided(&[32]).await;
    database.write(&records(40, 0..40)).await;
    let second = database.start_relay(&broker);
    database.until_shards_are_divided(&[16, 16]).await;
    database.write(&records(40, 40..50)).await;

    first.stop().await;
    database.until_shards_are_divided(&[32]).await;
    database.write(&records(40, 50..52)).await;

    database.until_published().await;
    broker.delay_answers(Duration::ZERO);
    let published = broker.read(TOPIC);
    assert_eq!(published.len(), 40 * 52);
    assert_every_key_in_order(&published, 40, 52);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shards_of_a_relay_that_dies_are_taken_over_and_every_key_stays_in_order() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let victim = database.start_relay(&broker);
    let heir = database.start_relay(&broker);
    database.until_shards_are_divided(&[16, 16]).await;
    database.write(&records(40, 0..100)).await;

    victim.kill().await;
    database.write(&records(40, 100..110)).await;

    database.until_published().await;
    assert_every_key_in_order(&broker.read(TOPIC), 40, 110);
    assert_eq!(database.shards_per_relay().await, [32]);
    heir.stop().await;
}

/// The successor becomes visible shortly after an event that was committed late, far below the position of the last read.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_committed_late_is_published_before_its_successor() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let relay = database.start_relay(&broker);
    let mut connection = database.pool().acquire().await.unwrap();
    for round in 0..5 {
        let mut late = connection.begin().await.unwrap();
        write(&mut late, &[record(0, 2 * round)]).await;
        // Others commit meanwhile, for longer than the overlap of every scan and the interval between two.
        sqlx::query("SELECT pg_sleep(0.15)")
            .execute(&mut *late)
            .await
            .unwrap();
        database.write(&records(20, round..round + 1)[1..]).await;
        eventually("the others are published", async || {
            broker.read(TOPIC).len() == 2 * round + 19 * (round + 1)
        })
        .await;
        sqlx::query("SELECT pg_sleep(0.5)")
            .execute(&mut *late)
            .await
            .unwrap();
        late.commit().await.unwrap();
        write(&mut connection, &[record(0, 2 * round + 1)]).await;
    }

    database.until_published().await;
    let published = first_occurrences(&broker.read(TOPIC));
    assert_eq!(published["key-0"], (0..10).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_does_not_delay_other_keys() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    let relay = database.start_relay(&broker);
    let mut open = database.pool().begin().await.unwrap();
    write(&mut open, &[record(0, 0)]).await;

    database.write(&records(20, 0..3)[1..]).await;

    eventually("the others are published", async || {
        broker.read(TOPIC).len() == 59
    })
    .await;
    open.commit().await.unwrap();
    database.until_published().await;
    assert_eq!(broker.read(TOPIC).len(), 60);
    relay.stop().await;
}

#[tokio::test]
async fn a_row_is_read_with_its_predecessor_of_the_same_key() {
    let database = SharedDatabase::create().await;
    database
        .write(&[record(1, 0), record(2, 0), record(1, 1), record(1, 2)])
        .await;

    let shards: Vec<Shard> = Shard::all().collect();
    let outbox = database.outbox();
    let seqs = outbox.positions(&shards, 0, 10).await.unwrap();
    let rows = outbox.read(&seqs).await.unwrap();

    let predecessors: Vec<_> = rows.iter().map(|row| row.predecessor).collect();
    assert_eq!(predecessors, [None, None, Some(seqs[0]), Some(seqs[2])]);
}

#[tokio::test]
async fn the_positions_of_the_wanted_shards_above_a_position_are_read() {
    let database = SharedDatabase::create().await;
    database.write(&records(40, 0..1)).await;
    let all: Vec<Shard> = Shard::all().collect();
    let outbox = database.outbox();

    let seqs = outbox.positions(&all, 0, 100).await.unwrap();
    let rows = outbox.read(&seqs).await.unwrap();

    assert_eq!(rows.len(), 40);
    let one = [rows[7].shard];
    let of_one: Vec<i64> = rows
        .iter()
        .filter(|row| row.shard == one[0])
        .map(|row| row.seq)
        .collect();
    assert_eq!(outbox.positions(&one, 0, 100).await.unwrap(), of_one);
    assert_eq!(
        outbox.positions(&all, seqs[9], 5).await.unwrap(),
        seqs[10..15]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_blocks_its_key_and_nothing_else() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    database.write(&records(10, 0..3)).await;
    let damaged =
        sqlx::query("UPDATE outbox SET headers = 'nonsense' WHERE key = 'key-0' AND payload = '1'");
    let damaged = damaged.execute(database.pool()).await.unwrap();
    assert_eq!(damaged.rows_affected(), 1);

    let relay = database.start_relay(&broker);

    let outbox = database.outbox();
    eventually("all others are published", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 2
    })
    .await;
    eventually("no event waits for its turn", async || {
        outbox.backlog(u64::MAX).await.unwrap().oldest.is_zero()
    })
    .await;
    let mut published = first_occurrences(&broker.read(TOPIC));
    assert_eq!(published.remove("key-0").unwrap(), [0]);
    assert_eq!(published.len(), 9);
    assert!(published.values().all(|events| *events == [0, 1, 2]));
    relay.stop().await;
}
