//! Consumers and sweepers of several processes at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka::record::Record;
use consumer::retry_store::operations::Filter;
use consumer::retry_store::{Fence, Parked, Parking, Settlement};
use rand::RngExt as _;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::database::{Database, on_every_database};
use crate::records::{
    DUE, OTHER_SWEEPER, SWEEPER, TERM, TOPIC, claim, drain, fault, offsets, record,
};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const EVENTS_PER_KEY: i64 = 150;
const SWEEPERS: u128 = 3;

/// Events in the order in which they were handled.
type Journal = Arc<Mutex<Vec<(Vec<u8>, i64)>>>;

fn handle(journal: &Journal, record: &Record) {
    let key = record.key.clone().unwrap();
    journal.lock().unwrap().push((key, record.offset));
}

/// The lane of a key in a consumer that knows nothing of its fences: every third event that is not fenced fails.
async fn consume(parking: Arc<dyn Parking>, key: &'static str, partition: i32, journal: Journal) {
    for offset in 1..=EVENTS_PER_KEY {
        let event = Record {
            partition,
            ..record(key, offset)
        };
        if parking.park_behind(&event).await.unwrap() == Fence::Parked {
            continue;
        }
        if rand::rng().random_ratio(1, 3) {
            parking.park(&event, &fault(), DUE).await.unwrap();
        } else {
            handle(&journal, &event);
        }
    }
}

async fn sweep(parking: Arc<dyn Parking>, claimant: Uuid, journal: Journal) {
    let all = KEYS.len() * usize::try_from(EVENTS_PER_KEY).unwrap();
    while journal.lock().unwrap().len() < all {
        for head in parking.claim(TOPIC, claimant, 2, TERM).await.unwrap() {
            let settlement = if rand::rng().random_ratio(1, 5) {
                Settlement::Released
            } else {
                handle(&journal, &head.record);
                Settlement::Handled
            };
            let settled = parking.settle(head.id, claimant, &settlement);
            settled.await.unwrap();
        }
    }
}

async fn everything_is_handled_once_and_in_order(database: Database) {
    let journal = Journal::default();
    let mut tasks = JoinSet::new();
    for (partition, key) in (0..).zip(KEYS) {
        let parking = Arc::clone(&database.parking);
        tasks.spawn(consume(parking, key, partition, Arc::clone(&journal)));
    }
    for number in 0..SWEEPERS {
        let replica = database.replica().await;
        let claimant = Uuid::from_u128(100 + number);
        tasks.spawn(sweep(replica.parking, claimant, Arc::clone(&journal)));
    }

    let limit = Duration::from_secs(60);
    let done = tokio::time::timeout(limit, tasks.join_all()).await;

    let journal = journal.lock().unwrap();
    for key in KEYS {
        let of_key = journal.iter().filter(|(of, _)| of == key.as_bytes());
        let handled: Vec<i64> = of_key.map(|(_, offset)| *offset).collect();
        let expected: Vec<i64> = (1..=EVENTS_PER_KEY).collect();
        assert_eq!(handled, expected, "key {key}; all ended: {}", done.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_keeps_its_order_and_loses_nothing_while_all_consume_and_sweep() {
    on_every_database(everything_is_handled_once_and_in_order).await;
}

/// Holds up whoever parks this record, until the transaction ends.
async fn parked_by_one_that_does_not_commit(connection: &mut PgConnection, record: &Record) {
    let insert = sqlx::query(
        "INSERT INTO parked (topic, partition, record_offset, record_timestamp, headers, state, attempts, parked_at) \
         VALUES ($1, $2, $3, $4, '', 'DEAD', 0, 0)",
    );
    insert
        .bind(&record.topic)
        .bind(record.partition)
        .bind(record.offset)
        .bind(record.timestamp_ms)
        .execute(connection)
        .await
        .unwrap();
}

/// Parks an event behind a head, and takes the head away before the event is committed.
async fn head_taken_away_while_added<T>(
    database: &Database,
    taking_away: impl Future<Output = T> + Send + 'static,
) -> T
where
    T: Send + 'static,
{
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    parked_by_one_that_does_not_commit(&mut open, &record("a", 2)).await;
    let adding = Arc::clone(&database.parking);
    let adding = tokio::spawn(async move { adding.park_behind(&record("a", 2)).await });
    database.until_waiting_for_locks(1).await;
    let taking_away = tokio::spawn(taking_away);
    database.until_waiting_for_locks(2).await;

    open.rollback().await.unwrap();
    assert_eq!(adding.await.unwrap().unwrap(), Fence::Parked);
    taking_away.await.unwrap()
}

#[tokio::test]
async fn an_event_that_is_added_while_its_head_is_handled_is_not_left_behind() {
    let database = Database::postgres().await;
    let parking = Arc::clone(&database.parking);
    parking.park(&record("a", 1), &fault(), DUE).await.unwrap();
    let head = claim(&*parking, SWEEPER).await[0].id;

    let settling = Arc::clone(&parking);
    let settling = async move { settling.settle(head, SWEEPER, &Settlement::Handled).await };
    let settled = head_taken_away_while_added(&database, settling).await;

    settled.unwrap();
    assert_eq!(drain(&*parking).await, [2]);
}

#[tokio::test]
async fn an_event_that_is_added_while_its_head_is_skipped_is_not_left_behind() {
    let database = Database::postgres().await;
    let parking = Arc::clone(&database.parking);
    let (dead, first) = (Parked::Dead, record("a", 1));
    parking.park(&first, &fault(), dead).await.unwrap();
    let all = Filter::default();
    let head = database.operations.list(&all, 1).await.unwrap().events[0].id;

    let skipping = Arc::clone(&database.operations);
    let skipping = async move { skipping.skip(head, "an operator", "a test").await };
    let skipped = head_taken_away_while_added(&database, skipping).await;

    skipped.unwrap();
    assert_eq!(drain(&*parking).await, [2]);
}

/// Parks an event while a transaction is open that changes what is before it.
async fn added_meanwhile(database: &Database, changes: &'static str, event: Record) -> Fence {
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let changed = sqlx::raw_sql(changes).execute(&mut *open);
    changed.await.unwrap();

    let adding = Arc::clone(&database.parking);
    let adding = tokio::spawn(async move { adding.park_behind(&event).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();
    adding.await.unwrap().unwrap()
}

#[tokio::test]
async fn an_event_whose_head_is_just_taken_away_finds_its_key_open() {
    let database = Database::postgres().await;
    let first = record("a", 1);
    database.parking.park(&first, &fault(), DUE).await.unwrap();

    let changes = "DELETE FROM parked WHERE record_offset = 1";
    let fence = added_meanwhile(&database, changes, record("a", 2)).await;

    assert_eq!(fence, Fence::Open);
}

#[tokio::test]
async fn an_event_whose_head_is_just_replaced_comes_behind_the_new_one() {
    let database = Database::postgres().await;
    let parking = &*database.parking;
    parking.park(&record("a", 1), &fault(), DUE).await.unwrap();

    let changes = "DELETE FROM parked WHERE record_offset = 1; \
        INSERT INTO parked (topic, partition, record_offset, record_timestamp, key, ordering_key, headers, \
                            state, next_attempt_at, attempts, parked_at) \
        VALUES ('orders', 3, 2, 2, 'a', 'a', '', 'WAITING', 0, 0, 0)";
    let fence = added_meanwhile(&database, changes, record("a", 3)).await;

    assert_eq!(fence, Fence::Parked);
    assert_eq!(drain(parking).await, [2, 3]);
}

#[tokio::test]
async fn of_two_sweepers_that_want_a_head_the_second_waits_and_goes_without() {
    let database = Database::postgres().await;
    let parking = Arc::clone(&database.parking);
    parking.park(&record("a", 1), &fault(), DUE).await.unwrap();
    parking.park_behind(&record("a", 2)).await.unwrap();
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let claimed = sqlx::query(
        "UPDATE parked SET claimed_by = $1, claimed_until = unix_millis() + 60000 WHERE record_offset = 1",
    );
    claimed.bind(SWEEPER).execute(&mut *open).await.unwrap();

    let second = Arc::clone(&parking);
    let second = tokio::spawn(async move { claim(&*second, OTHER_SWEEPER).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();

    assert_eq!(offsets(&second.await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn of_two_operators_that_want_an_event_the_second_waits_and_is_refused() {
    let database = Database::postgres().await;
    let (dead, first) = (Parked::Dead, record("a", 1));
    database.parking.park(&first, &fault(), dead).await.unwrap();
    let all = Filter::default();
    let id = database.operations.list(&all, 1).await.unwrap().events[0].id;
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let redriven = sqlx::query("UPDATE parked SET state = 'WAITING', redrives = 1");
    redriven.execute(&mut *open).await.unwrap();

    let second = Arc::clone(&database.operations);
    let second = tokio::spawn(async move { second.redrive(id, "an operator", false).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();

    let refused = second.await.unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("parked event {id} is not dead but waiting")
    );
    assert_eq!(database.operations.audit(1).await.unwrap(), []);
}
