//! Bad input: a clean status with details, and the service continues.

use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, PlaceOrderRequest, WatchOrderRequest,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::service::{Service, request};

fn reason(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .unwrap()
        .reason
        .clone()
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

#[tokio::test]
async fn every_fault_of_an_order_is_in_one_answer() {
    let mut service = Service::start().await;
    let mut bad = request("17 850");
    bad.lines[0].quantity = 0;
    bad.payment_token.clear();

    let status = service.place(bad).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "INVALID_REQUEST");
    assert_eq!(
        fields(&status),
        ["customer_id", "lines[0].quantity", "payment_token"]
    );
}

#[tokio::test]
async fn an_order_that_is_wrong_in_every_field_gets_an_answer_that_arrives() {
    let mut service = Service::start().await;
    let mut bad = request("17850");
    bad.lines[0].sku.clear();
    bad.lines[0].quantity = 0;
    bad.lines[0].unit_price = None;
    bad.lines = vec![bad.lines[0].clone(); 500];

    let status = service.place(bad).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["violations"], "1500");
    assert!(fields(&status).len() >= 50);
}

#[tokio::test]
async fn a_malformed_id_is_an_invalid_argument_for_every_method() {
    let mut service = Service::start().await;
    let order_id = || "order-7".to_owned();

    let get = service
        .client
        .get_order(GetOrderRequest {
            order_id: order_id(),
        })
        .await;
    let cancel = service
        .client
        .cancel_order(CancelOrderRequest {
            order_id: order_id(),
        })
        .await;
    let watch = WatchOrderRequest {
        order_id: order_id(),
        after_version: -1,
    };
    let watch = service.client.watch_order(watch).await;

    assert_eq!(fields(&get.unwrap_err()), ["order_id"]);
    assert_eq!(fields(&cancel.unwrap_err()), ["order_id"]);
    assert_eq!(fields(&watch.unwrap_err()), ["order_id", "after_version"]);
}

#[tokio::test]
async fn an_unknown_order_is_not_found_by_any_method() {
    let mut service = Service::start().await;
    let order_id = || Uuid::now_v7().to_string();

    let get = service
        .client
        .get_order(GetOrderRequest {
            order_id: order_id(),
        })
        .await;
    let cancel = service
        .client
        .cancel_order(CancelOrderRequest {
            order_id: order_id(),
        })
        .await;
    let watch = WatchOrderRequest {
        order_id: order_id(),
        after_version: 0,
    };
    let watch = service.client.watch_order(watch).await;

    for status in [get.unwrap_err(), cancel.unwrap_err(), watch.unwrap_err()] {
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(reason(&status), "ORDER_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_page_token_of_another_customer_is_refused() {
    let mut service = Service::start().await;
    for _ in 0..2 {
        service.place(request("17850")).await.unwrap();
    }
    let list = |customer: &str, page_token: &str| ListOrdersRequest {
        customer_id: customer.to_owned(),
        page_size: 1,
        page_token: page_token.to_owned(),
    };

    let first = service
        .client
        .list_orders(list("17850", ""))
        .await
        .unwrap()
        .into_inner();
    let stolen = service
        .client
        .list_orders(list("13047", &first.next_page_token))
        .await;

    assert_eq!(fields(&stolen.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_next_one_is_taken() {
    let mut service = Service::start().await;
    let mut large = request("17850");
    large.lines[0].sku = "x".repeat(300 * 1024);

    let status = service.place(large).await.unwrap_err();

    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn bytes_of_no_protocol_do_not_affect_other_calls() {
    let mut service = Service::start().await;
    let mut half_open = TcpStream::connect(service.address).await.unwrap();
    half_open
        .write_all(b"GET / HTTP/1.1\r\n\r\n\xff\xfe")
        .await
        .unwrap();

    service.place(request("17850")).await.unwrap();
}

#[tokio::test]
async fn streams_are_bounded_and_a_closed_one_makes_room() {
    let mut service = Service::start_with(&[("WATCH_STREAMS", "1")]).await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let watch = WatchOrderRequest {
        order_id,
        after_version: 0,
    };

    let open = service.client.watch_order(watch.clone()).await.unwrap();
    let status = service.client.watch_order(watch.clone()).await.unwrap_err();
    drop(open);

    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "TOO_MANY_STREAMS");
    assert!(status.get_error_details().retry_info().is_some());
    while service.client.watch_order(watch.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_empty_request_is_refused_in_every_field() {
    let mut service = Service::start().await;

    let status = service
        .place(PlaceOrderRequest::default())
        .await
        .unwrap_err();

    assert_eq!(
        fields(&status),
        ["request_id", "customer_id", "lines", "payment_token"]
    );
}
