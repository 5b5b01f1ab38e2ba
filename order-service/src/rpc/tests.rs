//! Behaviour that is hard to see over a connection: streams to their end, cancelled calls, and store errors.

use std::sync::Arc;
use std::time::Duration;

use consumer::{Delivery, Handler};
use futures::future::join_all;
use futures::{FutureExt, StreamExt, poll};
use grpc::auth::Caller;
use grpc::rate_limit::CustomerRateLimit;
use grpc::server::load_shed::ShedCalls;
use outbox::HandOver;
use proto::event::ProcessingEvent;
use proto::orders::v1::{OrderHistoryEntry, OrderStatus};
use proto::processing::v1::{OrderFulfilled, StockReserved};
use sql::group_commit::GroupCommitConfig;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::*;
use crate::admission::Admission;
use crate::domain::{HistoryEntry, OrderEvent, OrderId, Timestamp};
use crate::events::OutcomeHandler;
use crate::fixture::{self, Fixture, request};
use crate::follower::Follower;
use crate::history_reader::HistoryReader;
use crate::inventory::Inventory;
use crate::store::sqlite::SqliteStore;
use crate::store::{ApplyOutcome, OrderStore};

mod instrumentation;
mod racing_store;

use racing_store::RacingStore;

type Events = BoxStream<messages::WatchOrderResponse>;

struct Harness {
    rpc: OrderRpc,
    fixture: Fixture,
}

impl Harness {
    async fn start() -> Self {
        Self::on(Fixture::start().await)
    }

    fn on(fixture: Fixture) -> Self {
        let rpc = OrderRpc {
            store: Arc::clone(&fixture.store),
            histories: HistoryReader::start(&fixture.store, &TaskTracker::new()),
            writers: fixture.writers.clone(),
            watchers: fixture.watchers.clone(),
            streams: Arc::new(Semaphore::new(1)),
            rate_limit: Arc::new(CustomerRateLimit::new(None)),
            admission: Admission::default(),
            inventory: Inventory::off(),
            shed: ShedCalls::default(),
            shutdown: CancellationToken::new(),
        };
        Self { rpc, fixture }
    }

    async fn watch(&self, order_id: OrderId, after_version: i64) -> Events {
        let request = messages::WatchOrderRequest {
            order_id: order_id.to_string(),
            after_version,
        };
        let response = self.rpc.watch_order(by_anyone(request)).await;
        response.unwrap().into_inner()
    }

    /// Lets the watchers read a store in which this outcome is committed beside the first read.
    fn read_beside(&mut self, outcome: Option<ApplyOutcome>) -> Arc<RacingStore<SqliteStore>> {
        let inner = SqliteStore::new(Arc::clone(&self.fixture.database), HandOver::default());
        let race = outcome.map(|outcome| (outcome, self.rpc.watchers.clone()));
        let store = Arc::new(RacingStore::new(inner, race));
        let reader: Arc<dyn OrderStore> = Arc::<RacingStore<_>>::clone(&store);
        self.rpc.histories = HistoryReader::start(&reader, &TaskTracker::new());
        store
    }

    /// Commits an outcome and returns its entry instead of handing it over.
    async fn commit(&self, outcome: ApplyOutcome) -> Vec<HistoryEntry> {
        let committed = self.rpc.store.apply(&[outcome]).await;
        committed.unwrap().entries
    }

    async fn reserve(&self, order_id: OrderId) {
        let event = StockReserved {
            order_id: order_id.to_string(),
        };
        self.consume(order_id, 1, ProcessingEvent::StockReserved(event))
            .await;
    }

    async fn fulfil(&self, order_id: OrderId) {
        let event = OrderFulfilled {
            order_id: order_id.to_string(),
            ..Default::default()
        };
        self.consume(order_id, 2, ProcessingEvent::OrderFulfilled(event))
            .await;
    }

    async fn consume(&self, order_id: OrderId, sequence: u64, event: ProcessingEvent) {
        let record = fixture::outcome(order_id, sequence, &event);
        let handler = OutcomeHandler::new(self.rpc.writers.apply.clone());
        handler
            .handle(&Delivery::new(record, 1, Vec::new()))
            .await
            .unwrap();
    }
}

fn outcome(order_id: OrderId, sequence: u64, event: OrderEvent) -> ApplyOutcome {
    ApplyOutcome {
        order_id,
        event_id: Uuid::now_v7(),
        sequence,
        event: Some(event),
        occurred_at: Timestamp::from_unix_millis(2_000),
    }
}

async fn versions(events: Events) -> Vec<i64> {
    let version =
        |event: Result<messages::WatchOrderResponse, Status>| event.unwrap().entry.unwrap().version;
    let versions = timeout(WAIT_LIMIT, events.map(version).collect());
    versions.await.unwrap()
}

/// A request as the authentication layer passes it on without authentication.
fn by_anyone<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::Anonymous);
    request
}

/// Longer than any passing test takes; a hang fails the test after it.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

async fn next(events: &mut Events) -> OrderHistoryEntry {
    let event = timeout(WAIT_LIMIT, events.next()).await.unwrap();
    event.unwrap().unwrap().entry.unwrap()
}

async fn the_end(events: &mut Events) {
    let event = timeout(WAIT_LIMIT, events.next()).await.unwrap();
    assert!(event.is_none());
}

#[tokio::test]
async fn a_watcher_sees_every_event_once_and_the_stream_ends_with_the_order() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 0).await;

    assert_eq!(next(&mut events).await.event_type, "OrderPlaced");
    assert!(poll!(events.next()).is_pending());
    harness.reserve(order_id).await;
    assert_eq!(next(&mut events).await.event_type, "StockReserved");
    harness.fulfil(order_id).await;
    let last = next(&mut events).await;

    assert_eq!((last.version, last.status()), (3, OrderStatus::Fulfilled));
    the_end(&mut events).await;
}

#[tokio::test]
async fn entries_of_this_replica_reach_a_watcher_without_a_read() {
    let mut harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let store = harness.read_beside(None);
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);

    harness.reserve(order_id).await;
    harness.fulfil(order_id).await;

    assert_eq!(versions(events).await, [2, 3]);
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn a_slow_watcher_gets_every_entry() {
    const ENTRIES: u64 = 20;
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);

    for sequence in 1..=ENTRIES {
        let event = match sequence {
            ENTRIES => OrderEvent::OrderFulfilled,
            _ => OrderEvent::StockReserved,
        };
        let entries = harness.commit(outcome(order_id, sequence, event)).await;
        harness.rpc.watchers.hand_over(&entries);
    }

    let all: Vec<i64> = (2..=21).collect();
    assert_eq!(versions(events).await, all);
}

#[tokio::test]
async fn an_entry_committed_beside_the_first_read_is_seen_once() {
    let mut harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let fulfilled = outcome(order_id, 1, OrderEvent::OrderFulfilled);
    harness.read_beside(Some(fulfilled));

    let events = harness.watch(order_id, 0).await;

    assert_eq!(versions(events).await, [1, 2]);
}

#[tokio::test]
async fn an_entry_that_is_read_before_it_is_handed_over_is_seen_once() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let reserved = outcome(order_id, 1, OrderEvent::StockReserved);
    let reserved = harness.commit(reserved).await;
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);
    assert_eq!(next(&mut events).await.version, 2);

    harness.rpc.watchers.hand_over(&reserved);

    assert!(poll!(events.next()).is_pending());
    harness.fulfil(order_id).await;
    assert_eq!(versions(events).await, [3]);
}

#[tokio::test]
async fn a_lost_hand_over_is_made_up_for_by_the_next_one() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);

    let reserved = outcome(order_id, 1, OrderEvent::StockReserved);
    drop(harness.commit(reserved).await);
    assert!(poll!(events.next()).is_pending());
    harness.fulfil(order_id).await;

    assert_eq!(versions(events).await, [2, 3]);
}

#[tokio::test]
async fn entries_handed_over_out_of_order_are_seen_in_order() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);

    let reserved = outcome(order_id, 1, OrderEvent::StockReserved);
    let reserved = harness.commit(reserved).await;
    let fulfilled = outcome(order_id, 2, OrderEvent::OrderFulfilled);
    let fulfilled = harness.commit(fulfilled).await;
    harness.rpc.watchers.hand_over(&fulfilled);
    harness.rpc.watchers.hand_over(&reserved);

    assert_eq!(versions(events).await, [2, 3]);
}

/// As after a hand-over that was lost: nothing but the follower tells the watcher.
#[tokio::test]
async fn the_last_entry_of_another_replica_ends_the_stream() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 0).await;
    assert_eq!(next(&mut events).await.version, 1);
    let follower = Follower::new(Arc::clone(&harness.rpc.store), harness.rpc.watchers.clone());
    let follower = tokio::spawn(follower.run(harness.rpc.shutdown.clone()));

    let fulfilled = outcome(order_id, 1, OrderEvent::OrderFulfilled);
    drop(harness.commit(fulfilled).await);

    assert_eq!(versions(events).await, [2]);
    harness.rpc.shutdown.cancel();
    follower.await.unwrap();
}

#[tokio::test]
async fn a_stream_is_resumed_after_the_last_seen_version() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    harness.reserve(order_id).await;
    harness.fulfil(order_id).await;

    for (after_version, expected) in [(1, vec![2, 3]), (3, vec![]), (100, vec![])] {
        let events = harness.watch(order_id, after_version).await;
        assert_eq!(versions(events).await, expected, "after {after_version}");
    }
}

#[tokio::test]
async fn a_stream_resumed_beyond_the_history_waits_for_the_end() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 100).await;
    assert!(poll!(events.next()).is_pending());

    harness.reserve(order_id).await;
    harness.fulfil(order_id).await;

    the_end(&mut events).await;
}

#[tokio::test]
async fn a_dropped_stream_releases_its_permit_and_subscription() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    let mut events = harness.watch(order_id, 1).await;
    assert!(poll!(events.next()).is_pending());
    assert_eq!(harness.rpc.streams.available_permits(), 0);

    drop(events);

    assert_eq!(harness.rpc.streams.available_permits(), 1);
    assert_eq!(harness.rpc.watchers.orders(), []);
}

#[tokio::test]
async fn a_stream_for_an_unknown_order_takes_no_permit() {
    let harness = Harness::start().await;
    let order_id = OrderId::parse("0192f0c1-2345-7abc-8def-0123456789ab").unwrap();

    let request = messages::WatchOrderRequest {
        order_id: order_id.to_string(),
        after_version: 0,
    };
    let status = harness
        .rpc
        .watch_order(by_anyone(request))
        .await
        .err()
        .unwrap();

    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(harness.rpc.streams.available_permits(), 1);
    assert_eq!(harness.rpc.watchers.orders(), []);
}

#[tokio::test]
async fn an_order_is_placed_although_its_call_was_cancelled() {
    let harness = Harness::start().await;
    let request = request();

    let cancelled = harness
        .rpc
        .place_order(by_anyone(request.clone()))
        .now_or_never();
    let again = harness.rpc.place_order(by_anyone(request)).await.unwrap();

    assert!(cancelled.is_none());
    let page = messages::ListOrdersRequest {
        customer_id: "guest".to_owned(),
        ..Default::default()
    };
    let listed = harness
        .rpc
        .list_orders(by_anyone(page))
        .await
        .unwrap()
        .into_inner()
        .orders;
    assert_eq!(listed, [again.into_inner().order.unwrap()]);
}

#[tokio::test]
async fn orders_over_the_queue_limit_are_refused_at_once() {
    let config = GroupCommitConfig {
        max_batch: 1,
        queue: 1,
        writers: 1,
    };
    let harness = Harness::on(Fixture::start_with(config).await);

    let calls = (0..3).map(|_| harness.rpc.place_order(by_anyone(request())));
    let answers = join_all(calls).await;

    assert!(answers[0].is_ok());
    let status = answers[2].as_ref().unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "OVERLOADED");
    assert!(details.retry_info().is_some());
}

#[tokio::test]
async fn a_store_error_is_unavailable_and_shows_no_internal_text() {
    let harness = Harness::start().await;
    let order_id = harness.fixture.placed().await;
    harness.fixture.database.close().await;

    let place = harness
        .rpc
        .place_order(by_anyone(request()))
        .await
        .unwrap_err();
    let get = messages::GetOrderRequest {
        order_id: order_id.to_string(),
    };
    let get = harness.rpc.get_order(by_anyone(get)).await.unwrap_err();

    for status in [place, get] {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "the order store is unavailable");
    }
}

#[tokio::test]
async fn a_call_that_bypassed_authentication_is_refused() {
    let harness = Harness::start().await;

    let place = harness.rpc.place_order(Request::new(request())).await;

    assert_eq!(place.unwrap_err().code(), Code::Unauthenticated);
}
