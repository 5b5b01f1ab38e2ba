//! More calls than the concurrency limit: refused at once, without an effect on calls in flight.

use std::time::{Duration, Instant};

use proto::orders::v1::GetOrderRequest;
use sqlx::Connection as _;
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::bare::reason;
use super::service::{Service, WAIT_LIMIT, eventually, request};

#[tokio::test]
async fn a_call_over_the_concurrency_limit_is_refused_at_once_with_a_retry_delay() {
    let mut service = Service::start_with(&[("GRPC_CONCURRENCY", "1")]).await;
    let file = service.directory.path().join("orders.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut lock = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut lock)
        .await
        .unwrap();
    let client = service.client.clone();
    let in_work = tokio::spawn(eventually(async move || {
        let mut client = client.clone();
        client.place_order(request("17850")).await.is_ok()
    }));

    // A read is not held up by the lock: until the other call is in work, this one is answered.
    let refused = timeout(WAIT_LIMIT, first_refusal(&mut service)).await;

    let (status, took) = refused.unwrap();
    assert_eq!(reason(&status), "OVERLOADED");
    assert!(status.get_error_details().retry_info().is_some());
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!(service.is_alive().await, "health is answered all the same");
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    in_work.await.unwrap();
    eventually(async || {
        let mut client = service.client.clone();
        client.place_order(request("13047")).await.is_ok()
    })
    .await;
}

/// Reads until a read is refused, and says how long that one took.
async fn first_refusal(service: &mut Service) -> (Status, Duration) {
    loop {
        let begun = Instant::now();
        let order_id = Uuid::now_v7().to_string();
        let read = service.client.get_order(GetOrderRequest { order_id }).await;
        let status = read.unwrap_err();
        if status.code() == Code::ResourceExhausted {
            return (status, begun.elapsed());
        }
        assert_eq!(status.code(), Code::NotFound);
    }
}
