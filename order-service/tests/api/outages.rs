//! The database server is down, not ready or wrong: clear errors, and recovery without a restart.

use std::time::Duration;

use futures::future::join_all;
use service::command_line::EXIT_CONFIG;
use tokio::time::timeout;
use tonic::Code;

use super::line::Line;
use super::service::{Service, WAIT_LIMIT, eventually, migrate, outbox, postgres, request};

/// Longer than the pool waits for a connection, shorter than any deadline of a client.
const FAST: Duration = Duration::from_secs(5);

/// A database, the line to it, and its URL over the line.
async fn database_behind_a_line() -> (Line, String) {
    let database = postgres().await;
    let line = Line::to(postgres_server::shared().port()).await;
    let (_, name) = database.rsplit_once('/').unwrap();
    let url = postgres_server::url(line.port(), name);
    (line, url)
}

#[tokio::test]
async fn calls_fail_fast_while_the_database_is_down_and_recover_without_a_restart() {
    let (mut line, url) = database_behind_a_line().await;
    let mut service = Service::on(&url).await;
    service.ready().await;
    let before = service.place(request("17850")).await.unwrap();

    line.cut().await;
    let calls = (0..300).map(|_| {
        let mut client = service.client.clone();
        async move { client.place_order(request("17850")).await.unwrap_err() }
    });
    let refused = timeout(FAST, join_all(calls)).await.unwrap();

    for status in refused {
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "the order store is unavailable");
    }
    assert!(
        service.is_ready().await,
        "an outage is answered call by call"
    );
    line.mend().await;
    let after = request("17850");
    eventually(async || {
        let mut client = service.client.clone();
        client.place_order(after.clone()).await.is_ok()
    })
    .await;
    assert_eq!(
        service.place(after).await.unwrap().customer_id,
        before.customer_id
    );
    line.cut().await;
    let (ended, _) = timeout(WAIT_LIMIT, service.stop()).await.unwrap();
    ended.unwrap();
    line.mend().await;
    assert_eq!(outbox(&url).await.len(), 2);
}

#[tokio::test]
async fn a_service_becomes_ready_once_its_database_is_up() {
    let (mut line, url) = database_behind_a_line().await;
    line.cut().await;
    let mut service = Service::on(&url).await;

    let early = timeout(FAST, service.place(request("17850")))
        .await
        .unwrap();
    assert_eq!(early.unwrap_err().code(), Code::Unavailable);
    assert!(!service.is_ready().await);
    assert!(service.is_alive().await, "a restart would repair nothing");
    line.mend().await;

    service.ready().await;
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn a_service_that_waits_for_its_database_stops_cleanly() {
    let (mut line, url) = database_behind_a_line().await;
    line.cut().await;
    let service = Service::on(&url).await;

    let (ended, _) = timeout(WAIT_LIMIT, service.stop()).await.unwrap();

    ended.unwrap();
}

#[tokio::test]
async fn a_service_on_an_old_schema_is_not_ready_until_it_is_migrated() {
    let server = postgres_server::shared();
    server.create_database("unmigrated").unwrap();
    let url = server.url("unmigrated");
    let mut service = Service::on(&url).await;

    let early = service.place(request("17850")).await.unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    assert!(!service.is_ready().await);
    migrate(&url).await;

    service.ready().await;
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn a_service_on_a_newer_schema_than_its_own_is_ready() {
    let url = postgres().await;
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO _orders_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of a later release', true, '', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_MIGRATE", "true")];

    let mut service = Service::start_with(&settings).await;

    service.ready().await;
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn a_service_may_migrate_its_database_at_start() {
    let server = postgres_server::shared();
    server.create_database("migrated_at_start").unwrap();
    let url = server.url("migrated_at_start");
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_MIGRATE", "true")];

    // Replicas do so at once.
    let services = join_all([
        Service::start_with(&settings),
        Service::start_with(&settings),
    ])
    .await;

    for mut service in services {
        service.ready().await;
        service.place(request("17850")).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_ends_the_service_with_advice() {
    let url = postgres_server::shared().url("nowhere");

    let failure = Service::on(&url).await.failure().await;

    assert_eq!(failure.code(), EXIT_CONFIG, "{failure}");
    assert!(failure.to_string().contains("create it"), "{failure}");
}
