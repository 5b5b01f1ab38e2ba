//! Retention: what is old goes, what is young stays, and what depends on a deleted row stays correct. Time is moved by the
//! parameter of the pruner and by the ids of orders and events.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use consumer::ConsumerRetention;
use order_service::domain::{Availability, NewOrder, Order, OrderEvent, OrderId, Timestamp};
use order_service::retention::RetentionConfig;
use order_service::store::{Applied, ApplyOutcome, PlaceOrder, Placed};
use sql::retention::{PruneConfig, Pruner};
use uuid::{NoContext, Uuid};

use super::NEVER;
use super::database::{Database, on_every_database};
use super::orders::{place, request};

const DAY: Duration = Duration::from_secs(86_400);

const RETENTION: RetentionConfig = RetentionConfig {
    prune: PruneConfig {
        interval: DAY,
        batch: 100,
    },
    consumer: ConsumerRetention {
        inbox: DAY.saturating_mul(9),
        audit: DAY.saturating_mul(365),
    },
    orders: DAY.saturating_mul(10),
};

fn pruner(database: &Database, retention: RetentionConfig) -> Pruner {
    Pruner::new(&database.engine, retention.rules(), retention.prune)
}

fn id_at(at: SystemTime) -> Uuid {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

/// The command for a request that is placed at this time.
fn place_at(request: &NewOrder, at: SystemTime) -> PlaceOrder {
    let order_id = OrderId::new(id_at(at));
    let mut command = place(request);
    command.order = Order::placed(
        order_id,
        request,
        Availability::Confirmed,
        Timestamp::from(at),
    );
    Arc::make_mut(&mut command.event).key = order_id.to_string();
    command.event_id = id_at(at);
    command
}

/// The outcomes that fulfil the order at this time.
fn fulfilled_at(order_id: OrderId, at: SystemTime) -> Vec<ApplyOutcome> {
    let events = [
        OrderEvent::StockReserved,
        OrderEvent::PaymentCaptured,
        OrderEvent::OrderFulfilled,
    ];
    let outcome = |(sequence, event)| ApplyOutcome {
        order_id,
        event_id: id_at(at),
        sequence,
        event,
        occurred_at: at.into(),
    };
    (1..).zip(events.map(Some)).map(outcome).collect()
}

/// Places an order at this time, and fulfils it.
async fn fulfil_at(database: &Database, at: SystemTime) -> OrderId {
    let command = place_at(&request("guest", 1), at);
    let order_id = command.order.id;
    database.store.place(&[command]).await.unwrap();
    let outcomes = fulfilled_at(order_id, at);
    database.store.apply(&outcomes).await.unwrap();
    order_id
}

async fn entries(database: &Database, order_id: OrderId) -> usize {
    database.history(order_id, 0, 100).await.len()
}

#[tokio::test]
async fn final_orders_go_with_their_history_after_their_retention_and_all_others_stay() {
    on_every_database(async |database| {
        let now = SystemTime::now();
        let old = fulfil_at(&database, now - DAY * 11).await;
        let young = fulfil_at(&database, now - DAY * 9).await;
        let unfinished = place_at(&request("guest", 1), now - DAY * 1_000);
        database
            .store
            .place(std::slice::from_ref(&unfinished))
            .await
            .unwrap();

        let pruned = pruner(&database, RETENTION).prune(now).await.unwrap();

        assert_eq!(pruned[0], ("orders", 1));
        let get = async |id| database.store.get(id, NEVER).await.unwrap();
        assert_eq!((get(old).await, entries(&database, old).await), (None, 0));
        assert!(get(young).await.is_some());
        assert_eq!(entries(&database, young).await, 4);
        assert!(get(unfinished.order.id).await.is_some());
        assert_eq!(entries(&database, unfinished.order.id).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_id_is_remembered_as_long_as_its_order() {
    on_every_database(async |database| {
        let now = SystemTime::now();
        let request = request("guest", 1);
        let first = place_at(&request, now);
        let order_id = first.order.id;
        database.store.place(&[first]).await.unwrap();
        let outcomes = fulfilled_at(order_id, now);
        database.store.apply(&outcomes).await.unwrap();
        let pruner = pruner(&database, RETENTION);
        let retry = async || {
            let answers = database.store.place(&[place(&request)]).await.unwrap();
            answers.into_iter().next().unwrap()
        };

        pruner.prune(now + DAY * 9).await.unwrap();
        let within = retry().await;
        pruner.prune(now + DAY * 11).await.unwrap();
        let after = retry().await;

        assert!(matches!(within, Placed::Duplicate(order) if order.id == order_id));
        assert_eq!(after, Placed::New);
    })
    .await;
}

#[tokio::test]
async fn an_outcome_that_comes_again_after_its_inbox_row_was_pruned_has_no_second_effect() {
    on_every_database(async |database| {
        let now = SystemTime::now();
        let command = place_at(&request("guest", 1), now);
        let order_id = command.order.id;
        database.store.place(&[command]).await.unwrap();
        let outcomes = fulfilled_at(order_id, now);
        database.store.apply(&outcomes).await.unwrap();
        let kept = RetentionConfig {
            orders: DAY * 3_650,
            ..RETENTION
        };
        assert_eq!(database.count("inbox").await, 3);

        pruner(&database, kept).prune(now + DAY * 10).await.unwrap();
        let again = database.store.apply(&outcomes).await.unwrap();

        assert_eq!(database.count("inbox").await, 0);
        assert_eq!(again.replies, [Applied::Duplicate; 3]);
        assert_eq!(entries(&database, order_id).await, 4);
    })
    .await;
}

/// A random UUID sorts as a time in the far future.
#[tokio::test]
async fn rows_whose_ids_have_no_time_are_pruned_too() {
    on_every_database(async |database| {
        let now = SystemTime::now();
        let order_id = fulfil_at(&database, now).await;
        let mut command = place_at(&request("guest", 1), now);
        command.order.id = OrderId::new(Uuid::new_v4());
        let foreign = command.order.id;
        database.store.place(&[command]).await.unwrap();
        let mut outcomes = fulfilled_at(foreign, now);
        for outcome in &mut outcomes {
            outcome.event_id = Uuid::new_v4();
        }
        database.store.apply(&outcomes).await.unwrap();

        let pruner = pruner(&database, RETENTION);
        pruner.prune(now + DAY * 8).await.unwrap();
        assert_eq!(
            (
                database.count("orders").await,
                database.count("inbox").await
            ),
            (2, 6)
        );
        pruner.prune(now + DAY * 11).await.unwrap();

        assert_eq!(
            (
                database.count("orders").await,
                database.count("inbox").await
            ),
            (0, 0)
        );
        assert_eq!(entries(&database, order_id).await, 0);
    })
    .await;
}

#[tokio::test]
async fn replicas_that_prune_while_orders_are_placed_delete_old_orders_only() {
    on_every_database(async |database| {
        let now = SystemTime::now();
        for _ in 0..3 {
            let commands: Vec<_> = (0..100)
                .map(|_| place_at(&request("old", 1), now - DAY * 20))
                .collect();
            database.store.place(&commands).await.unwrap();
            let outcomes = commands
                .iter()
                .flat_map(|old| fulfilled_at(old.order.id, now - DAY * 20));
            database
                .store
                .apply(&outcomes.collect::<Vec<_>>())
                .await
                .unwrap();
        }
        let (replica, other) = (database.replica().await, database.replica().await);
        let few = RetentionConfig {
            prune: PruneConfig {
                batch: 20,
                ..RETENTION.prune
            },
            ..RETENTION
        };
        let (first, second) = (pruner(&database, few), pruner(&replica, few));
        let place_young = async {
            let mut placed = Vec::new();
            for _ in 0..40 {
                placed.push(fulfil_at(&other, now).await);
            }
            placed
        };

        let (first, second, placed) =
            tokio::join!(first.prune(now), second.prune(now), place_young);

        assert_eq!(first.unwrap()[0].1 + second.unwrap()[0].1, 300);
        assert_eq!(database.count("orders").await, 40);
        assert_eq!(database.count("order_events").await, 160);
        for order_id in placed {
            assert_eq!(entries(&database, order_id).await, 4);
        }
    })
    .await;
}

/// One order stands for 20,000: 432 a day are 100 orders per second. A file that reuses the pages of deleted rows stops
/// growing when the first of them are deleted.
#[tokio::test]
async fn twenty_four_days_at_one_hundred_orders_per_second_end_at_a_flat_size() {
    let database = Database::sqlite().await;
    let start = SystemTime::now();
    let retention = RetentionConfig {
        orders: DAY * 8,
        consumer: ConsumerRetention {
            inbox: DAY * 8,
            ..RETENTION.consumer
        },
        ..RETENTION
    };
    let pruner = pruner(&database, retention);
    let mut sizes = Vec::new();

    for day in 1..=24 {
        for part in 0..4_u32 {
            let at = start + DAY * day + DAY / 4 * part;
            let commands: Vec<_> = (0..108)
                .map(|_| place_at(&request("guest", 1), at))
                .collect();
            database.store.place(&commands).await.unwrap();
            let outcomes = commands
                .iter()
                .flat_map(|new| fulfilled_at(new.order.id, at));
            database
                .store
                .apply(&outcomes.collect::<Vec<_>>())
                .await
                .unwrap();
            database.publish_all().await;
            pruner.prune(at).await.unwrap();
        }
        sizes.push(database.size().await);
        println!(
            "day {day:>2}: {:>9} bytes, {:>5} orders, {:>5} history entries, {:>5} inbox rows",
            sizes.last().unwrap(),
            database.count("orders").await,
            database.count("order_events").await,
            database.count("inbox").await,
        );
    }

    let (filled, end) = (sizes[10], sizes[23]);
    assert!(sizes[3] * 3 / 2 < filled, "nothing was stored: {sizes:?}");
    assert!(end <= filled + filled / 50, "{sizes:?}");
}
