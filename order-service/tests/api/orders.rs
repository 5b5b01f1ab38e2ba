//! Placing, reading, listing, watching and cancelling.

use futures::future::join_all;
use proto::event::OrderEvent;
use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, OrderStatus, PlaceOrderRequest,
    WatchOrderRequest,
};
use tonic::Code;

use super::service::{Service, outbox, request, sqlite};

#[tokio::test]
async fn an_order_is_confirmed_and_its_event_waits_for_the_broker() {
    let mut service = Service::start().await;

    let order = service.place(request("17850")).await.unwrap();

    assert_eq!(order.status(), OrderStatus::Accepted);
    assert_eq!(order.version, 1);
    assert_eq!(order.total.as_ref().unwrap().minor_units, 1_530);
    let (ended, directory) = service.stop().await;
    ended.unwrap();
    let events = outbox(&sqlite(directory.path())).await;
    let [OrderEvent::OrderPlaced(placed)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(placed.order_id, order.order_id);
    assert_eq!(placed.lines, order.lines);
    assert_eq!(placed.payment_token, "tok_approved");
}

#[tokio::test]
async fn what_was_placed_is_read_as_it_was_confirmed() {
    let mut service = Service::start().await;
    let placed = service.place(request("17850")).await.unwrap();

    let order_id = placed.order_id.clone();
    let read = service
        .client
        .get_order(GetOrderRequest { order_id })
        .await
        .unwrap();

    assert_eq!(read.into_inner().order, Some(placed));
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_order_and_another_body_is_refused() {
    let mut service = Service::start().await;
    let original = request("17850");
    let mut changed = original.clone();
    changed.lines[0].quantity += 1;

    let first = service.place(original.clone()).await.unwrap();
    let again = service.place(original).await.unwrap();
    let refused = service.place(changed).await.unwrap_err();

    assert_eq!(again, first);
    assert_eq!(refused.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn one_request_sent_many_times_at_once_makes_one_order() {
    let service = Service::start().await;
    let request = request("17850");

    let calls = (0..50).map(|_| {
        let mut client = service.client.clone();
        let request = request.clone();
        async move {
            client
                .place_order(request)
                .await
                .unwrap()
                .into_inner()
                .order
        }
    });
    let orders = join_all(calls).await;

    assert!(orders.iter().all(|order| *order == orders[0]));
    let (_, directory) = service.stop().await;
    assert_eq!(outbox(&sqlite(directory.path())).await.len(), 1);
}

#[tokio::test]
async fn orders_are_listed_newest_first_to_the_last_page() {
    let mut service = Service::start().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(service.place(request("17850")).await.unwrap());
    }
    service.place(request("13047")).await.unwrap();

    let (mut listed, mut pages) = (Vec::new(), 0);
    let mut page = ListOrdersRequest {
        customer_id: "17850".to_owned(),
        page_size: 2,
        page_token: String::new(),
    };
    loop {
        let answer = service
            .client
            .list_orders(page.clone())
            .await
            .unwrap()
            .into_inner();
        listed.extend(answer.orders);
        pages += 1;
        page.page_token = answer.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }

    placed.reverse();
    assert_eq!(listed, placed);
    assert_eq!(pages, 3);
}

/// The client keeps its default limit of 4 MiB per message; one page of all these orders would have 5 MiB.
#[tokio::test]
async fn a_page_of_large_orders_ends_before_the_clients_limit_and_carries_a_token() {
    const ORDERS: usize = 120;
    let service = Service::start().await;
    let places = (0..ORDERS).map(|_| {
        let mut client = service.client.clone();
        let order = largest_order("17850");
        async move { client.place_order(order).await.unwrap() }
    });
    join_all(places).await;

    let mut client = service.client.clone();
    let mut page = ListOrdersRequest {
        customer_id: "17850".to_owned(),
        page_size: 200,
        page_token: String::new(),
    };
    let mut listed = Vec::new();
    loop {
        let answer = client.list_orders(page.clone()).await.unwrap().into_inner();
        assert!(!answer.orders.is_empty());
        listed.extend(answer.orders.into_iter().map(|order| order.order_id));
        page.page_token = answer.next_page_token;
        if page.page_token.is_empty() {
            break;
        }
    }

    assert_eq!(listed.len(), ORDERS);
    assert!(listed.is_sorted_by(|newer, older| newer > older));
}

/// As many lines as an order may have, with the longest SKUs.
fn largest_order(customer: &str) -> PlaceOrderRequest {
    let mut order = request(customer);
    order.lines[0].sku = "X".repeat(64);
    order.lines = vec![order.lines[0].clone(); 500];
    order
}

#[tokio::test]
async fn a_watcher_gets_the_history_and_then_each_change() {
    let mut service = Service::start().await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let watch = WatchOrderRequest {
        order_id: order_id.clone(),
        after_version: 0,
    };
    let mut events = service
        .client
        .watch_order(watch)
        .await
        .unwrap()
        .into_inner();

    let first = events.message().await.unwrap().unwrap().entry.unwrap();
    let cancelled = service
        .client
        .cancel_order(CancelOrderRequest { order_id })
        .await
        .unwrap();
    let second = events.message().await.unwrap().unwrap().entry.unwrap();

    assert_eq!(
        (first.version, first.event_type.as_str()),
        (1, "OrderPlaced")
    );
    assert_eq!(
        cancelled.into_inner().order.unwrap().status(),
        OrderStatus::CancelRequested
    );
    assert_eq!(
        (second.version, second.event_type.as_str()),
        (2, "CancellationRequested")
    );
    assert_eq!(second.status(), OrderStatus::CancelRequested);
}

#[tokio::test]
async fn asking_to_cancel_twice_announces_it_once() {
    let mut service = Service::start().await;
    let order_id = service.place(request("17850")).await.unwrap().order_id;
    let cancel = CancelOrderRequest { order_id };

    let once = service
        .client
        .cancel_order(cancel.clone())
        .await
        .unwrap()
        .into_inner();
    let twice = service
        .client
        .cancel_order(cancel)
        .await
        .unwrap()
        .into_inner();

    assert_eq!(once, twice);
    let (_, directory) = service.stop().await;
    assert_eq!(outbox(&sqlite(directory.path())).await.len(), 2);
}
