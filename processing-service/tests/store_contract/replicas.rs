//! Several replicas of the service on one PostgreSQL database. Not applicable to SQLite, which has one writer.

use std::sync::Arc;
use std::time::Duration;

use processing_service::domain::{Order, OrderId, RejectionReason, SagaEvent, SagaState};
use processing_service::store::{OpenSaga, Opening, ProcessingStore, Recorded, StoreError};
use sql::database::Database;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use tokio::task::JoinSet;

use crate::support::database::TestDatabase;
use crate::support::fixture::{Fixture, captured, catalogue, cause, event_id, order, shipped};

const OUT_OF_STOCK: SagaState = SagaState::Rejected(RejectionReason::OutOfStock);

async fn shop(stock: &[(&str, u32)]) -> Fixture {
    Fixture::on(TestDatabase::postgres().await, stock).await
}

/// Replicas of the service on one database.
struct Replicas(Vec<(Arc<dyn ProcessingStore>, Database)>);

impl Replicas {
    async fn of(shop: &Fixture, count: usize) -> Self {
        let mut replicas = Vec::with_capacity(count);
        for _ in 0..count {
            replicas.push(shop.replica().await);
        }
        Self(replicas)
    }

    /// Round robin.
    fn store(&self, number: usize) -> Arc<dyn ProcessingStore> {
        Arc::clone(&self.0[number % self.0.len()].0)
    }

    async fn end(self) {
        for (_, database) in self.0 {
            database.close().await;
        }
    }
}

async fn reserve(store: &dyn ProcessingStore, order: &Order) -> Result<Recorded, StoreError> {
    let saga = OpenSaga::new(order, Opening::Reserve);
    store.open(saga, cause(order.id)).await
}

/// Runs all steps of an order, as a replica does that consumes its event.
async fn process(store: Arc<dyn ProcessingStore>, order: Order) -> Result<SagaState, StoreError> {
    let mut state = reserve(store.as_ref(), &order).await?.state();
    while !state.is_final() {
        let event = match state {
            SagaState::Reserved => captured(),
            SagaState::Captured => shipped(&order),
            other => panic!("{other:?} is not on the way"),
        };
        let recorded = store
            .advance(order.id, vec![event], cause(order.id))
            .await?;
        state = recorded.state();
    }
    Ok(state)
}

/// Waits for an event with a timeout.
async fn within_timeout<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), event)
        .await
        .unwrap()
}

/// A simulated replica with an open transaction.
struct Rival(Transaction<'static, Postgres>);

impl Rival {
    async fn begin(shop: &Fixture) -> Self {
        Self(shop.database.pool().begin().await.unwrap())
    }

    async fn run(&mut self, statement: impl Into<String>) {
        sqlx::raw_sql(AssertSqlSafe(statement.into()))
            .execute(&mut *self.0)
            .await
            .unwrap();
    }

    /// Waits until another connection is blocked by this transaction; returns the server process of that connection.
    async fn is_waited_for(&mut self) -> i32 {
        let waiting = async {
            loop {
                let pid = sqlx::query_scalar(
                    "SELECT pid FROM pg_stat_activity \
                     WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))",
                )
                .fetch_optional(&mut *self.0);
                // Within a transaction the view keeps its first snapshot unless that is cleared.
                if let Some(pid) = pid.await.unwrap() {
                    break pid;
                }
                self.run("SELECT pg_stat_clear_snapshot()").await;
            }
        };
        within_timeout(waiting).await
    }

    async fn commit(self) {
        self.0.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pieces_are_sold_once_however_many_replicas_sell_them() {
    let shop = shop(&[("A", 10)]).await;
    let replicas = Replicas::of(&shop, 2).await;

    let mut selling = JoinSet::new();
    for number in 0..100 {
        let replica = replicas.store(number);
        selling.spawn(async move { reserve(replica.as_ref(), &order(&[("A", 1)])).await });
    }
    let sold = selling.join_all().await;

    let states: Vec<SagaState> = sold.into_iter().map(|sold| sold.unwrap().state()).collect();
    let count = |wanted| states.iter().filter(|&&state| state == wanted).count();
    assert_eq!((count(SagaState::Reserved), count(OUT_OF_STOCK)), (10, 90));
    assert_eq!(shop.stock("A").await, (0, 10, 0));
}

#[tokio::test]
async fn a_reservation_waits_for_stock_that_another_replica_has_locked() {
    let shop = shop(&[("A", 1)]).await;
    let mut rival = Rival::begin(&shop).await;
    rival
        .run("UPDATE stock SET available = 0, reserved = 1")
        .await;

    let late = order(&[("A", 1)]);
    let (recorded, ()) = tokio::join!(reserve(shop.store.as_ref(), &late), async {
        rival.is_waited_for().await;
        rival.commit().await;
    });

    assert_eq!(recorded.unwrap(), Recorded::New(OUT_OF_STOCK));
    assert_eq!(shop.stock("A").await, (0, 1, 0));
}

#[tokio::test]
async fn a_step_that_another_replica_is_recording_is_recorded_once() {
    let shop = shop(&[("A", 1)]).await;
    let order = order(&[("A", 1)]);
    shop.reserve(&order).await;
    let mut rival = Rival::begin(&shop).await;
    rival
        .run("UPDATE sagas SET state = 'CAPTURED', next_sequence = 3")
        .await;

    let late = shop
        .store
        .advance(order.id, vec![captured()], cause(order.id));
    let (recorded, ()) = tokio::join!(late, async {
        rival.is_waited_for().await;
        rival.commit().await;
    });

    assert_eq!(recorded.unwrap(), Recorded::Duplicate(SagaState::Captured));
    assert_eq!(shop.payment(&order).await, None);
    assert_eq!(shop.announced(&order).await, [(1, "StockReserved")]);
}

#[tokio::test]
async fn an_order_that_another_replica_is_opening_is_opened_once() {
    let shop = shop(&[("A", 5)]).await;
    let order = order(&[("A", 1)]);
    let mut rival = Rival::begin(&shop).await;
    rival.run(opening_by_hand(order.id)).await;

    let (opened, ()) = tokio::join!(reserve(shop.store.as_ref(), &order), async {
        rival.is_waited_for().await;
        rival.commit().await;
    });

    assert_eq!(opened.unwrap(), Recorded::Duplicate(SagaState::Reserved));
    assert_eq!(shop.stock("A").await, (5, 0, 0));
    assert!(shop.announced(&order).await.is_empty());
}

fn opening_by_hand(order_id: OrderId) -> String {
    format!(
        "INSERT INTO sagas (order_id, state, next_sequence, lines, updated_at) \
         VALUES ('{order_id}', 'RESERVED', 2, '', 0)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_replicas_process_concurrently_is_processed_once() {
    let shop = shop(&[("A", 100)]).await;
    let replicas = Replicas::of(&shop, 2).await;
    let orders: Vec<Order> = (0..30).map(|_| order(&[("A", 1)])).collect();

    let mut working = JoinSet::new();
    for order in &orders {
        for number in 0..2 {
            working.spawn(process(replicas.store(number), order.clone()));
        }
    }
    for state in working.join_all().await {
        assert_eq!(state.unwrap(), SagaState::Fulfilled);
    }

    assert_eq!(shop.stock("A").await, (70, 0, 30));
    assert_eq!(shop.shipments().await, 30);
    assert_eq!(shop.inbox().await.len(), 30);
    for order in &orders {
        let in_sequence = [
            (1, "StockReserved"),
            (2, "PaymentCaptured"),
            (3, "OrderFulfilled"),
        ];
        assert_eq!(shop.announced(order).await, in_sequence);
    }
}

/// Orders of two SKUs each, such that one replica ships the SKUs that the other reserves.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_never_deadlock() {
    let skus = ["A", "B", "C", "D", "E", "F"];
    let shop = shop(&skus.map(|sku| (sku, 1_000))).await;
    let replicas = Replicas::of(&shop, 2).await;

    let mut working = JoinSet::new();
    for number in 0..200 {
        let (one, other) = (skus[number % 6], skus[(number + 1 + number / 6 % 5) % 6]);
        let replica = replicas.store(number);
        working.spawn(process(replica, order(&[(one, 1), (other, 1)])));
    }
    for state in working.join_all().await {
        assert_eq!(state.unwrap(), SagaState::Fulfilled);
    }

    replicas.end().await;
    assert_eq!(deadlocks(&shop).await, 0);
}

#[tokio::test]
async fn stock_is_locked_in_sku_order_by_every_step() {
    let shop = shop(&[("A", 5), ("B", 5)]).await;
    let shipping = order(&[("A", 1)]);
    shop.reserve(&shipping).await;
    shop.advance(&shipping, captured()).await;
    let mut rival = Rival::begin(&shop).await;
    rival
        .run("UPDATE stock SET name = 'A' WHERE sku = 'A'")
        .await;

    // One batch: it ships A and reserves B.
    let reserving = order(&[("B", 1)]);
    let shipped = shipped(&shipping);
    let (shipped, reserved, ()) = tokio::join!(
        shop.store
            .advance(shipping.id, vec![shipped], cause(shipping.id)),
        reserve(shop.store.as_ref(), &reserving),
        async {
            rival.is_waited_for().await;
            // If the batch had locked B already, this would deadlock: it waits for A, and this transaction for B.
            rival
                .run("UPDATE stock SET name = 'B' WHERE sku = 'B'")
                .await;
            rival.commit().await;
        },
    );

    assert_eq!(shipped.unwrap(), Recorded::New(SagaState::Fulfilled));
    assert_eq!(reserved.unwrap(), Recorded::New(SagaState::Reserved));
    assert_eq!(deadlocks(&shop).await, 0);
}

/// Deadlocks that the server resolved in this database, including those that the stores retried. The stores must be closed
/// first: a session reports its statistics at the latest when it ends.
async fn deadlocks(shop: &Fixture) -> i64 {
    shop.database.database().close().await;
    let Database::Postgres(server) = shop.database.open_again().await else {
        panic!("not on PostgreSQL");
    };
    let mut connection = server.pool().acquire().await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let alone = async { while number(&mut connection, others).await > 0 {} };
    within_timeout(alone).await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    number(&mut connection, deadlocks).await
}

async fn number(connection: &mut PgConnection, query: &'static str) -> i64 {
    let number = sqlx::query_scalar(query).fetch_one(connection);
    number.await.unwrap()
}

#[tokio::test]
async fn a_serialization_failure_is_retried() {
    let shop = shop(&[("A", 10)]).await;
    // A sequence is not rolled back, so it counts the failed first attempt.
    shop.database
        .tamper(
            "CREATE SEQUENCE attempts; \
             CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF nextval('attempts') = 1 THEN RAISE serialization_failure; END IF; \
                 RETURN NEW; \
             END $$; \
             CREATE TRIGGER conflict BEFORE INSERT ON sagas FOR EACH ROW EXECUTE FUNCTION conflict()",
        )
        .await;
    let order = order(&[("A", 3)]);

    let recorded = shop.reserve(&order).await;

    assert_eq!(recorded, Recorded::New(SagaState::Reserved));
    assert_eq!(shop.stock("A").await, (7, 3, 0));
    assert_eq!(shop.announced(&order).await.len(), 1);
}

#[tokio::test]
async fn a_connection_that_is_cut_during_a_batch_leaves_no_partial_write() {
    let shop = shop(&[("A", 10)]).await;
    let order = order(&[("A", 3)]);
    shop.reserve(&order).await;
    let mut rival = Rival::begin(&shop).await;
    // The last write of a batch: stock and outbox are written by then.
    rival.run(insert_inbox_row(&order)).await;

    let declined = || {
        let event = SagaEvent::PaymentDeclined;
        shop.store.advance(order.id, vec![event], cause(order.id))
    };
    let neighbour = crate::support::fixture::order(&[("A", 1)]);
    let (cut, beside, ()) = tokio::join!(
        declined(),
        reserve(shop.store.as_ref(), &neighbour),
        async {
            let pid = rival.is_waited_for().await;
            rival
                .run(format!("SELECT pg_terminate_backend({pid})"))
                .await;
        }
    );
    drop(rival);

    assert!(cut.unwrap_err().is_transient());
    assert!(matches!(beside, Err(StoreError::Unanswered)), "{beside:?}");
    assert_eq!(shop.saga(&order).await, Some(SagaState::Reserved));
    assert_eq!(shop.saga(&neighbour).await, None);
    assert_eq!(shop.stock("A").await, (7, 3, 0));
    assert_eq!(shop.announced(&order).await, [(1, "StockReserved")]);

    let end = SagaState::Rejected(RejectionReason::PaymentDeclined);
    assert_eq!(declined().await.unwrap(), Recorded::New(end));
    assert_eq!(shop.stock("A").await, (10, 0, 0));
}

fn insert_inbox_row(order: &Order) -> String {
    let event_id = event_id(order.id);
    format!(
        "INSERT INTO inbox (event_id, entity_id, sequence, received_at) \
         VALUES ('{event_id}', '{}', 1, 0)",
        order.id
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_concurrently_seed_the_stock_once() {
    let shop = shop(&[]).await;
    let names: Vec<String> = (0..1_000).map(|number| format!("SKU-{number}")).collect();
    let mut stock: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 7)).collect();
    let replicas = Replicas::of(&shop, 4).await;

    let mut seeding = JoinSet::new();
    for number in 0..4 {
        let replica = replicas.store(number);
        let catalogue = catalogue(&stock);
        seeding.spawn(async move { replica.seed(&catalogue).await });
        // Catalogues of two releases may differ in their order.
        stock.reverse();
    }
    let added = seeding.join_all().await;

    let added: u64 = added.into_iter().map(Result::unwrap).sum();
    assert_eq!(added, 1_000);
    assert_eq!(shop.stock("SKU-0").await, (7, 0, 0));
    replicas.end().await;
    assert_eq!(deadlocks(&shop).await, 0);
}
