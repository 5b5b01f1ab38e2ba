//! Consumers and sweepers of several processes at once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use consumer::retry_store::operations::Filter;
use consumer::retry_store::{KeyState, RetryState, RetryStore, Settlement};
use kafka::record::Record;
use rand::RngExt as _;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::database::{Database, on_every_database};
use super::records::{
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

/// The lane of a key in a consumer without blocked keys in memory: every third event of a free key fails.
async fn consume(
    retry_store: Arc<dyn RetryStore>,
    key: &'static str,
    partition: i32,
    journal: Journal,
) {
    for offset in 1..=EVENTS_PER_KEY {
        let event = Record {
            partition,
            ..record(key, offset)
        };
        if retry_store.store_behind(&event).await.unwrap() == KeyState::Blocked {
            continue;
        }
        if rand::rng().random_ratio(1, 3) {
            retry_store.store(&event, &fault(), DUE).await.unwrap();
        } else {
            handle(&journal, &event);
        }
    }
}

async fn sweep(retry_store: Arc<dyn RetryStore>, claimant: Uuid, journal: Journal) {
    let all = KEYS.len() * usize::try_from(EVENTS_PER_KEY).unwrap();
    while journal.lock().unwrap().len() < all {
        for head in retry_store.claim(TOPIC, claimant, 2, TERM).await.unwrap() {
            let settlement = if rand::rng().random_ratio(1, 5) {
                Settlement::Released
            } else {
                handle(&journal, &head.record);
                Settlement::Handled
            };
            let settled = retry_store.settle(head.id, claimant, &settlement);
            settled.await.unwrap();
        }
    }
}

async fn everything_is_handled_once_and_in_order(database: Database) {
    let journal = Journal::default();
    let mut tasks = JoinSet::new();
    for (partition, key) in (0..).zip(KEYS) {
        let retry_store = Arc::clone(&database.retry_store);
        tasks.spawn(consume(retry_store, key, partition, Arc::clone(&journal)));
    }
    for number in 0..SWEEPERS {
        let replica = database.replica().await;
        let claimant = Uuid::from_u128(100 + number);
        tasks.spawn(sweep(replica.retry_store, claimant, Arc::clone(&journal)));
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

/// Blocks any other insert of this record until the transaction ends.
async fn insert_without_commit(connection: &mut PgConnection, record: &Record) {
    let insert = sqlx::query(
        "INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, headers, state, attempts, stored_at) \
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

/// Stores an event behind a head, and takes the head away before the event is committed.
async fn head_taken_away_while_added<T>(
    database: &Database,
    taking_away: impl Future<Output = T> + Send + 'static,
) -> T
where
    T: Send + 'static,
{
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    insert_without_commit(&mut open, &record("a", 2)).await;
    let adding = Arc::clone(&database.retry_store);
    let adding = tokio::spawn(async move { adding.store_behind(&record("a", 2)).await });
    database.until_waiting_for_locks(1).await;
    let taking_away = tokio::spawn(taking_away);
    database.until_waiting_for_locks(2).await;

    open.rollback().await.unwrap();
    assert_eq!(adding.await.unwrap().unwrap(), KeyState::Blocked);
    taking_away.await.unwrap()
}

#[tokio::test]
async fn an_event_that_is_added_while_its_head_is_handled_is_not_left_behind() {
    let database = Database::postgres().await;
    let retry_store = Arc::clone(&database.retry_store);
    retry_store
        .store(&record("a", 1), &fault(), DUE)
        .await
        .unwrap();
    let head = claim(&*retry_store, SWEEPER).await[0].id;

    let settling = Arc::clone(&retry_store);
    let settling = async move { settling.settle(head, SWEEPER, &Settlement::Handled).await };
    let settled = head_taken_away_while_added(&database, settling).await;

    settled.unwrap();
    assert_eq!(drain(&*retry_store).await, [2]);
}

#[tokio::test]
async fn an_event_that_is_added_while_its_head_is_skipped_is_not_left_behind() {
    let database = Database::postgres().await;
    let retry_store = Arc::clone(&database.retry_store);
    let (dead, first) = (RetryState::Dead, record("a", 1));
    retry_store.store(&first, &fault(), dead).await.unwrap();
    let all = Filter::default();
    let head = database.operations.list(&all, 1).await.unwrap().events[0].id;

    let skipping = Arc::clone(&database.operations);
    let skipping = async move { skipping.skip(head, "an operator", "a test").await };
    let skipped = head_taken_away_while_added(&database, skipping).await;

    skipped.unwrap();
    assert_eq!(drain(&*retry_store).await, [2]);
}

/// Stores an event while an open transaction changes the rows before it.
async fn added_meanwhile(database: &Database, changes: &'static str, event: Record) -> KeyState {
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let changed = sqlx::raw_sql(changes).execute(&mut *open);
    changed.await.unwrap();

    let adding = Arc::clone(&database.retry_store);
    let adding = tokio::spawn(async move { adding.store_behind(&event).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();
    adding.await.unwrap().unwrap()
}

#[tokio::test]
async fn an_event_whose_head_is_just_taken_away_finds_its_key_open() {
    let database = Database::postgres().await;
    let first = record("a", 1);
    database
        .retry_store
        .store(&first, &fault(), DUE)
        .await
        .unwrap();

    let changes = "DELETE FROM retry_events WHERE record_offset = 1";
    let key_state = added_meanwhile(&database, changes, record("a", 2)).await;

    assert_eq!(key_state, KeyState::Free);
}

#[tokio::test]
async fn an_event_whose_head_is_just_replaced_comes_behind_the_new_one() {
    let database = Database::postgres().await;
    let retry_store = &*database.retry_store;
    retry_store
        .store(&record("a", 1), &fault(), DUE)
        .await
        .unwrap();

    let changes = "DELETE FROM retry_events WHERE record_offset = 1; \
        INSERT INTO retry_events (topic, partition, record_offset, record_timestamp, key, ordering_key, headers, \
                            state, next_attempt_at, attempts, stored_at) \
        VALUES ('orders', 3, 2, 2, 'a', 'a', '', 'WAITING', 0, 0, 0)";
    let key_state = added_meanwhile(&database, changes, record("a", 3)).await;

    assert_eq!(key_state, KeyState::Blocked);
    assert_eq!(drain(retry_store).await, [2, 3]);
}

#[tokio::test]
async fn of_two_sweepers_that_want_a_head_the_second_waits_and_goes_without() {
    let database = Database::postgres().await;
    let retry_store = Arc::clone(&database.retry_store);
    retry_store
        .store(&record("a", 1), &fault(), DUE)
        .await
        .unwrap();
    retry_store.store_behind(&record("a", 2)).await.unwrap();
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let claimed = sqlx::query(
        "UPDATE retry_events SET claimed_by = $1, claimed_until = unix_millis() + 60000 WHERE record_offset = 1",
    );
    claimed.bind(SWEEPER).execute(&mut *open).await.unwrap();

    let second = Arc::clone(&retry_store);
    let second = tokio::spawn(async move { claim(&*second, OTHER_SWEEPER).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();

    assert_eq!(offsets(&second.await.unwrap()), [0; 0]);
}

#[tokio::test]
async fn of_two_operators_that_want_an_event_the_second_waits_and_is_refused() {
    let database = Database::postgres().await;
    let (dead, first) = (RetryState::Dead, record("a", 1));
    database
        .retry_store
        .store(&first, &fault(), dead)
        .await
        .unwrap();
    let all = Filter::default();
    let id = database.operations.list(&all, 1).await.unwrap().events[0].id;
    let mut stranger = database.stranger().await;
    let mut open = stranger.begin().await.unwrap();
    let redriven = sqlx::query("UPDATE retry_events SET state = 'WAITING', redrives = 1");
    redriven.execute(&mut *open).await.unwrap();

    let second = Arc::clone(&database.operations);
    let second = tokio::spawn(async move { second.redrive(id, "an operator", false).await });
    database.until_waiting_for_locks(1).await;
    open.commit().await.unwrap();

    let refused = second.await.unwrap().unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("event {id} is not dead but waiting")
    );
    assert_eq!(database.operations.audit(1).await.unwrap(), []);
}

/// After a crash as many attempts are counted at once as may be in flight: they must not hold the connections that the
/// handlers need.
#[tokio::test]
async fn hundreds_of_attempts_counted_at_once_leave_the_pool_to_others() {
    const ATTEMPTS: i64 = 300;
    let database = Database::postgres().await;
    let mut stranger = database.stranger().await;
    let mut held = stranger.begin().await.unwrap();
    let lock = "LOCK TABLE record_attempts IN EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *held).await.unwrap();
    let mut counting: JoinSet<_> = (1..=ATTEMPTS)
        .map(|offset| {
            let retry_store = Arc::clone(&database.retry_store);
            async move { retry_store.count_attempt(&record("a", offset)).await }
        })
        .collect();
    database.until_waiting_for_locks(1).await;

    // One statement after the other takes a connection beside them.
    for offset in 1..=10 {
        let event = record("b", offset);
        let stored = database.retry_store.store(&event, &fault(), DUE).await;
        stored.unwrap();
    }

    held.commit().await.unwrap();
    while let Some(counted) = counting.join_next().await {
        assert_eq!(counted.unwrap().unwrap(), 1);
    }
}

/// Two processes that believe to own a partition count its records at the same time.
#[tokio::test]
async fn attempts_counted_by_two_processes_are_all_counted() {
    const ATTEMPTS: i64 = 200;
    on_every_database(async |database| {
        let other = database.replica().await;
        let count = async |database: &Database, offsets: Vec<i64>| {
            let counts = offsets.iter().map(async |offset| {
                let record = record("a", *offset);
                database.retry_store.count_attempt(&record).await.unwrap()
            });
            futures::future::join_all(counts).await
        };
        let ascending: Vec<i64> = (1..=ATTEMPTS).collect();
        let descending: Vec<i64> = (1..=ATTEMPTS).rev().collect();

        let (one, mut two) = tokio::join!(count(&database, ascending), count(&other, descending));

        two.reverse();
        for (one, two) in one.into_iter().zip(two) {
            assert_eq!(one + two, 1 + 2);
        }
    })
    .await;
}
