//! Access to the orders of a customer, and the rate limit per customer.

use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, OrderStatus, WatchOrderRequest,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::issuer::Guarded;
use super::service::request;

fn get(order_id: &str) -> GetOrderRequest {
    GetOrderRequest {
        order_id: order_id.to_owned(),
    }
}

fn cancel(order_id: &str) -> CancelOrderRequest {
    CancelOrderRequest {
        order_id: order_id.to_owned(),
    }
}

fn watch(order_id: &str) -> WatchOrderRequest {
    WatchOrderRequest {
        order_id: order_id.to_owned(),
        after_version: 0,
    }
}

fn list(customer: &str) -> ListOrdersRequest {
    ListOrdersRequest {
        customer_id: customer.to_owned(),
        ..Default::default()
    }
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().reason.clone()
}

/// Calls until there were too many calls; the share comes back while the machine is slow.
async fn until_refused(call: impl AsyncFn() -> Option<Status>) -> Status {
    for _ in 0..1_000 {
        if let Some(status) = call().await
            && status.code() == Code::ResourceExhausted
        {
            return status;
        }
    }
    panic!("never refused");
}

impl Guarded {
    /// An order that this customer has placed.
    async fn placed(&mut self, customer: &str) -> String {
        let call = self.by(customer, request(customer));
        let placed = self.service.client.place_order(call).await.unwrap();
        placed.into_inner().order.unwrap().order_id
    }

    /// The results of every method that names an order, for this customer and this order.
    async fn refusals(&mut self, customer: &str, order_id: &str) -> [Status; 3] {
        let client = self.service.client.clone();
        let (mut one, mut two, mut three) = (client.clone(), client.clone(), client);
        let get = one.get_order(self.by(customer, get(order_id))).await;
        let cancel = two.cancel_order(self.by(customer, cancel(order_id))).await;
        let watch = three.watch_order(self.by(customer, watch(order_id))).await;
        [get.unwrap_err(), cancel.unwrap_err(), watch.unwrap_err()]
    }
}

#[tokio::test]
async fn a_customer_places_sees_lists_watches_and_cancels_their_own_orders() {
    let mut guarded = Guarded::start().await;
    let order_id = guarded.placed("17850").await;
    let mut client = guarded.service.client.clone();

    let read = client.get_order(guarded.by("17850", get(&order_id))).await;
    let listed = client
        .list_orders(guarded.by("17850", list("17850")))
        .await
        .unwrap();
    let mut events = client
        .watch_order(guarded.by("17850", watch(&order_id)))
        .await
        .unwrap()
        .into_inner();
    let cancelled = client
        .cancel_order(guarded.by("17850", cancel(&order_id)))
        .await
        .unwrap();

    assert!(read.is_ok());
    assert_eq!(listed.into_inner().orders.len(), 1);
    assert!(events.message().await.unwrap().is_some());
    let order = cancelled.into_inner().order.unwrap();
    assert_eq!(order.status(), OrderStatus::CancelRequested);
}

#[tokio::test]
async fn an_order_of_another_customer_is_not_found() {
    let mut guarded = Guarded::start().await;
    let theirs = guarded.placed("17850").await;
    let none = Uuid::now_v7().to_string();

    let of_theirs = guarded.refusals("13047", &theirs).await;
    let of_none = guarded.refusals("13047", &none).await;

    // Everything is the same but the id that the caller sent.
    let without_id = |status: &Status, id: &str| {
        let details = String::from_utf8_lossy(status.details()).replace(id, "");
        (status.code(), status.message().replace(id, ""), details)
    };
    for (their, no) in of_theirs.iter().zip(&of_none) {
        assert_eq!(their.code(), Code::NotFound);
        assert_eq!(without_id(their, &theirs), without_id(no, &none));
    }
}

#[tokio::test]
async fn an_order_of_another_customer_is_not_cancelled() {
    let mut guarded = Guarded::start().await;
    let order_id = guarded.placed("17850").await;

    guarded.refusals("13047", &order_id).await;

    let call = guarded.by("17850", get(&order_id));
    let read = guarded.service.client.get_order(call).await.unwrap();
    let order = read.into_inner().order.unwrap();
    assert_eq!((order.status(), order.version), (OrderStatus::Accepted, 1));
}

#[tokio::test]
async fn no_customer_places_or_lists_for_another() {
    let mut guarded = Guarded::start().await;
    guarded.placed("17850").await;
    let mut client = guarded.service.client.clone();

    let place = client
        .place_order(guarded.by("13047", request("17850")))
        .await;
    let listed = client.list_orders(guarded.by("13047", list("17850"))).await;

    for status in [place.unwrap_err(), listed.unwrap_err()] {
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "PERMISSION_DENIED");
    }
}

#[tokio::test]
async fn an_operator_may_act_for_every_customer() {
    let mut guarded = Guarded::start().await;
    guarded.placed("17850").await;
    let mut client = guarded.service.client.clone();

    let place = client
        .place_order(guarded.by_operator(request("17850")))
        .await;
    let order_id = place.unwrap().into_inner().order.unwrap().order_id;
    let read = client.get_order(guarded.by_operator(get(&order_id))).await;
    let listed = client.list_orders(guarded.by_operator(list("17850"))).await;
    let watched = client
        .watch_order(guarded.by_operator(watch(&order_id)))
        .await;
    let cancelled = client
        .cancel_order(guarded.by_operator(cancel(&order_id)))
        .await;

    assert!(read.is_ok() && watched.is_ok() && cancelled.is_ok());
    assert_eq!(listed.unwrap().into_inner().orders.len(), 2);
}

#[tokio::test]
async fn without_a_token_only_health_answers() {
    let guarded = Guarded::start().await;
    let mut client = guarded.service.client.clone();

    let place = client.place_order(request("17850")).await;
    let read = client
        .get_order(Request::new(get(&Uuid::now_v7().to_string())))
        .await;

    for status in [place.unwrap_err(), read.unwrap_err()] {
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(reason(&status), "UNAUTHENTICATED");
    }
    assert!(guarded.service.is_alive().await);
    guarded.service.ready().await;
}

#[tokio::test]
async fn a_customer_over_the_rate_limit_gets_a_retry_delay_and_others_are_served() {
    let settings = [("CUSTOMER_RATE", "1"), ("CUSTOMER_BURST", "3")];
    let mut guarded = Guarded::start_with(&settings).await;
    let order_id = guarded.placed("13047").await;
    let client = guarded.service.client.clone();

    let place = until_refused(async || {
        let call = guarded.by("17850", request("17850"));
        client.clone().place_order(call).await.err()
    });
    let read = until_refused(async || {
        let call = guarded.by("17850", get(&order_id));
        client.clone().get_order(call).await.err()
    });
    let place_for_them = until_refused(async || {
        let call = guarded.by_operator(request("17850"));
        client.clone().place_order(call).await.err()
    });
    let refusals = [place.await, read.await, place_for_them.await];
    let call = guarded.by("13047", list("13047"));
    let others = client.clone().list_orders(call).await;

    for status in refusals {
        assert_eq!(reason(&status), "RATE_LIMITED");
        let details = status.get_error_details();
        let delay = details.retry_info().unwrap().retry_delay.unwrap();
        assert!(!delay.is_zero() && delay.as_secs() < 1, "{delay:?}");
    }
    assert_eq!(others.unwrap().into_inner().orders.len(), 1);
}

#[tokio::test]
async fn a_caller_cannot_use_up_the_rate_limit_of_another_customer() {
    let settings = [("CUSTOMER_RATE", "1"), ("CUSTOMER_BURST", "1")];
    let mut guarded = Guarded::start_with(&settings).await;
    let mut client = guarded.service.client.clone();

    for _ in 0..10 {
        let call = guarded.by("13047", request("17850"));
        let refused = client.place_order(call).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }

    guarded.placed("17850").await;
}
