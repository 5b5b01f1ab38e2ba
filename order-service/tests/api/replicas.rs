//! Two replicas on one PostgreSQL database, with no Kafka anywhere.

use proto::event::OrderEvent;
use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, OrderHistoryEntry, OrderStatus, WatchOrderRequest,
    WatchOrderResponse,
};
use tokio::time::timeout;
use tonic::Streaming;

use super::service::{Service, WAIT_LIMIT, outbox, postgres, request};

async fn next(events: &mut Streaming<WatchOrderResponse>) -> OrderHistoryEntry {
    let event = timeout(WAIT_LIMIT, events.message()).await.unwrap();
    event.unwrap().unwrap().entry.unwrap()
}

#[tokio::test]
async fn an_order_is_confirmed_by_one_replica_and_known_to_the_other() {
    let url = postgres().await;
    let (mut one, mut other) = (Service::on(&url).await, Service::on(&url).await);
    let intent = request("17850");

    let placed = one.place(intent.clone()).await.unwrap();
    let repeated = other.place(intent).await.unwrap();

    assert_eq!(repeated, placed);
    let order_id = placed.order_id.clone();
    let read = other.client.get_order(GetOrderRequest { order_id }).await;
    assert_eq!(read.unwrap().into_inner().order, Some(placed.clone()));
    let events = outbox(&url).await;
    let [OrderEvent::OrderPlaced(event)] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(event.order_id, placed.order_id);
}

#[tokio::test]
async fn a_watcher_on_one_replica_sees_changes_by_the_other() {
    let url = postgres().await;
    let (mut one, mut other) = (Service::on(&url).await, Service::on(&url).await);
    // The follower starts when the service is ready.
    other.ready().await;
    let order_id = one.place(request("17850")).await.unwrap().order_id;
    let watch = WatchOrderRequest {
        order_id: order_id.clone(),
        after_version: 0,
    };
    let mut events = other.client.watch_order(watch).await.unwrap().into_inner();
    assert_eq!(next(&mut events).await.event_type, "OrderPlaced");

    let cancel = CancelOrderRequest { order_id };
    one.client.cancel_order(cancel).await.unwrap();

    let entry = next(&mut events).await;
    assert_eq!(entry.version, 2);
    assert_eq!(entry.status(), OrderStatus::CancelRequested);
}

#[tokio::test]
async fn both_replicas_stop_cleanly_while_the_other_goes_on() {
    let url = postgres().await;
    let (one, mut other) = (Service::on(&url).await, Service::on(&url).await);
    one.ready().await;
    other.ready().await;

    let (ended, _) = timeout(WAIT_LIMIT, one.stop()).await.unwrap();

    ended.unwrap();
    other.place(request("17850")).await.unwrap();
    let (ended, _) = timeout(WAIT_LIMIT, other.stop()).await.unwrap();
    ended.unwrap();
}
