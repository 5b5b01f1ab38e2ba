//! Deadlines: no call outlives its own, and no work is started for a call that has ended.

use std::time::{Duration, Instant};

use futures::StreamExt;
use proto::orders::v1::{GetOrderRequest, ListOrdersRequest, Order, WatchOrderRequest};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::time::timeout;
use tonic::Code;

use super::bare::{self, reason, with_timeout};
use super::service::{Service, WAIT_LIMIT, eventually, postgres, request};

/// More than any timer and any machine needs to answer, far less than a database that does not.
const SOON: Duration = Duration::from_secs(2);

/// Another connection holds a write transaction on the service's database.
struct Lock(SqliteConnection);

impl Lock {
    async fn on(service: &Service) -> Self {
        let file = service.directory.path().join("orders.db");
        let options = SqliteConnectOptions::new().filename(file);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let begun = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection);
        begun.await.unwrap();
        Self(connection)
    }

    async fn end(mut self) {
        let ended = sqlx::raw_sql("ROLLBACK").execute(&mut self.0);
        ended.await.unwrap();
        self.0.close().await.unwrap();
    }
}

async fn orders_of(service: &mut Service, customer: &str) -> Vec<Order> {
    let request = ListOrdersRequest {
        customer_id: customer.to_owned(),
        ..Default::default()
    };
    let page = service.client.list_orders(request).await.unwrap();
    page.into_inner().orders
}

#[tokio::test]
async fn a_call_is_answered_deadline_exceeded_when_its_deadline_passes() {
    let service = Service::start().await;
    let lock = Lock::on(&service).await;
    let mut client = bare::client(service.address);
    let begun = Instant::now();

    let place = client.place_order(with_timeout(request("17850"), "100m"));
    let status = timeout(WAIT_LIMIT, place).await.unwrap().unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    lock.end().await;
}

#[tokio::test]
async fn the_servers_own_limit_ends_a_call_that_brings_no_deadline_or_a_later_one() {
    let service = Service::start_with(&[("GRPC_CALL_LIMIT", "100ms")]).await;
    let lock = Lock::on(&service).await;
    let mut client = bare::client(service.address);
    let begun = Instant::now();

    for timeout_header in [None, Some("1H")] {
        let message = request("17850");
        let request = match timeout_header {
            None => tonic::Request::new(message),
            Some(later) => with_timeout(message, later),
        };
        let place = client.place_order(request);
        let status = timeout(WAIT_LIMIT, place).await.unwrap().unwrap_err();

        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    lock.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_deadline_exceeded_when_its_clients_deadline_passes() {
    let mut service = Service::start_with(&[("GRPC_CALL_LIMIT", "1s")]).await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let mut client = bare::client(service.address);
    let watch = WatchOrderRequest {
        order_id,
        after_version: 0,
    };
    let begun = Instant::now();

    let watching = client.watch_order(with_timeout(watch, "3S"));
    let mut events = watching.await.unwrap().into_inner();
    let placed = events.next().await.unwrap().unwrap();
    let ended = timeout(WAIT_LIMIT, events.next()).await.unwrap();

    assert_eq!(placed.entry.unwrap().event_type, "OrderPlaced");
    let status = ended.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    // The limit of unary calls is not the stream's.
    assert!(begun.elapsed() > Duration::from_millis(2_900));
}

#[tokio::test]
async fn a_call_without_time_is_refused_and_nothing_is_begun() {
    let mut service = Service::start().await;
    let mut client = bare::client(service.address);

    for no_time in ["0n", "1n", "1m"] {
        let place = client.place_order(with_timeout(request("17850"), no_time));
        let status = place.await.unwrap_err();

        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    assert!(orders_of(&mut service, "17850").await.is_empty());
}

#[tokio::test]
async fn a_malformed_timeout_is_refused() {
    let service = Service::start().await;
    let mut client = bare::client(service.address);

    for malformed in ["soon", "10", "123456789S", "-1S"] {
        let place = client.place_order(with_timeout(request("17850"), malformed));
        let status = place.await.unwrap_err();

        assert_eq!(status.code(), Code::InvalidArgument, "{malformed}");
        assert_eq!(reason(&status), "MALFORMED_TIMEOUT");
    }
}

#[tokio::test]
async fn an_order_whose_client_gave_up_while_it_waited_is_not_accepted_and_can_be_placed_again() {
    let mut service = Service::start().await;
    let lock = Lock::on(&service).await;
    let mut client = bare::client(service.address);
    // The commit of this one has begun and waits for the database.
    let (mut first_client, first) = (client.clone(), request("17850"));
    let first = tokio::spawn(async move { first_client.place_order(first).await });
    let given_up = request("13047");
    eventually(async || {
        let mut client = bare::client(service.address);
        let place = client.place_order(with_timeout(request("17851"), "50m"));
        place.await.unwrap_err().code() == Code::DeadlineExceeded
    })
    .await;

    let place = client.place_order(with_timeout(given_up.clone(), "50m"));
    let status = place.await.unwrap_err();
    lock.end().await;

    assert_eq!(status.code(), Code::DeadlineExceeded);
    first.await.unwrap().unwrap();
    // Behind it in the queue: once this one is committed, the other would be.
    service.place(request("17850")).await.unwrap();
    assert!(orders_of(&mut service, "13047").await.is_empty());
    let placed = service.place(given_up).await.unwrap();
    let orders = orders_of(&mut service, "13047").await;
    assert_eq!(orders[0].order_id, placed.order_id);
}

#[tokio::test]
async fn an_order_whose_commit_had_begun_is_accepted_and_found_by_its_request_id() {
    let mut service = Service::start().await;
    let lock = Lock::on(&service).await;
    let mut client = bare::client(service.address);
    let request = request("17850");

    // The queue is empty: its commit starts at once and waits for the database.
    let place = client.place_order(with_timeout(request.clone(), "100m"));
    let status = place.await.unwrap_err();
    lock.end().await;

    assert_eq!(status.code(), Code::DeadlineExceeded);
    eventually(async || {
        let mut client = service.client.clone();
        let list = ListOrdersRequest {
            customer_id: "17850".to_owned(),
            ..Default::default()
        };
        !client
            .list_orders(list)
            .await
            .unwrap()
            .into_inner()
            .orders
            .is_empty()
    })
    .await;
    let found = service.place(request).await.unwrap();
    let orders = orders_of(&mut service, "17850").await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].order_id, found.order_id);
}
#[tokio::test]
async fn the_database_server_ends_a_read_at_the_deadline_of_its_call() {
    let url = postgres().await;
    let mut service = Service::on(&url).await;
    service.ready().await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let mut locked = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *locked)
        .await
        .unwrap();
    let mut client = bare::client(service.address);

    let get = client.get_order(with_timeout(GetOrderRequest { order_id }, "300m"));
    let status = get.await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Far sooner than the server's own limits for locks (2 s) and statements (5 s).
    let waiting = async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        waiting == 0
    };
    timeout(Duration::from_secs(1), eventually(waiting))
        .await
        .unwrap();
}
