//! Kafka is down and the backlog over its limits: new orders are refused, all other calls work.

use proto::orders::v1::GetOrderRequest;
use tonic::Code;
use tonic_types::StatusExt;

use super::bare::reason;
use super::service::{Service, eventually, postgres, request};

#[tokio::test]
async fn orders_are_refused_when_those_before_have_waited_too_long_for_kafka() {
    let url = postgres().await;
    for database in [None, Some(("DATABASE_URL", url.as_str()))] {
        let mut settings = vec![("BACKLOG_AGE", "1s")];
        settings.extend(database);
        let mut service = Service::start_with(&settings).await;
        let first = request("17850");
        let before = service.place(first.clone()).await.unwrap();

        eventually(async || {
            let mut client = service.client.clone();
            let placed = client.place_order(request("17850")).await;
            placed.is_err_and(|status| status.code() == Code::ResourceExhausted)
        })
        .await;

        let status = service.place(request("17850")).await.unwrap_err();
        assert_eq!(reason(&status), "BACKLOGGED");
        assert!(status.get_error_details().retry_info().is_some());
        let again = service.place(first.clone()).await.unwrap();
        assert_eq!(again, before, "the retry of an accepted order");
        let mut other = first;
        other.lines[0].quantity += 1;
        let status = service.place(other).await.unwrap_err();
        assert_eq!(reason(&status), "REQUEST_ID_REUSED");
        let order_id = before.order_id;
        let read = service.client.get_order(GetOrderRequest { order_id }).await;
        read.unwrap();
    }
}

#[tokio::test]
async fn orders_are_refused_when_too_many_wait_for_kafka() {
    let mut service = Service::start_with(&[("BACKLOG_ROWS", "3")]).await;
    for _ in 0..4 {
        service.place(request("17850")).await.unwrap();
    }

    eventually(async || {
        let mut client = service.client.clone();
        let placed = client.place_order(request("17850")).await;
        placed.is_err_and(|status| reason(&status) == "BACKLOGGED")
    })
    .await;
}
