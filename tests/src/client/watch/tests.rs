//! The watch against a service that breaks streams, repeats, skips and continues after the final event.

use std::sync::{Arc, Mutex};

use proto::orders::v1::OrderStatus::{Accepted, Fulfilled, Processing};
use tonic::Status;

use super::*;
use crate::client::connections::connect;
use crate::client::fake::{Fake, entry};

type Script = Vec<Result<OrderHistoryEntry, Status>>;

/// Plays one script per stream and records the version after which each stream was requested.
async fn watch(scripts: Vec<Script>) -> (Result<(), WatchError>, Vec<i64>, Vec<i64>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let scripts = Mutex::new(scripts.into_iter());
    let fake = Fake {
        watch: Box::new({
            let asked = asked.clone();
            move |request| {
                asked.lock().unwrap().push(request.after_version);
                let next = scripts.lock().unwrap().next();
                next.unwrap_or_else(|| vec![Err(Status::unavailable("down"))])
            }
        }),
        ..Fake::default()
    };
    let client = OrderClient::new(connect(&fake.serve().await).unwrap());
    let mut shown = Vec::new();

    let deadline = Instant::now() + Duration::from_secs(2);
    let watch = Watch::new(client, "0197", 0);
    let end = watch.until_final(deadline, |entry| shown.push(entry.version));
    let end = end.await;

    let asked = asked.lock().unwrap().clone();
    (end, shown, asked)
}

#[tokio::test]
async fn a_history_is_shown_to_its_end() {
    let (end, shown, _) = watch(vec![vec![
        Ok(entry(1, "OrderPlaced", Accepted)),
        Ok(entry(2, "OrderFulfilled", Fulfilled)),
    ]])
    .await;

    assert_eq!(end, Ok(()));
    assert_eq!(shown, [1, 2]);
}

#[tokio::test]
async fn a_broken_stream_is_resumed_after_the_last_version() {
    let (end, shown, asked) = watch(vec![
        vec![Err(Status::unavailable("starting"))],
        vec![
            Ok(entry(1, "OrderPlaced", Accepted)),
            Ok(entry(2, "StockReserved", Processing)),
            Err(Status::unavailable("shutting down")),
        ],
        vec![Ok(entry(3, "OrderFulfilled", Fulfilled))],
    ])
    .await;

    assert_eq!(end, Ok(()));
    assert_eq!(shown, [1, 2, 3]);
    assert_eq!(asked, [0, 0, 2]);
}

#[tokio::test]
async fn a_gap_in_the_history_is_detected() {
    let (end, ..) = watch(vec![vec![
        Ok(entry(1, "OrderPlaced", Accepted)),
        Ok(entry(3, "OrderFulfilled", Fulfilled)),
    ]])
    .await;

    assert_eq!(end, Err(WatchError::OutOfOrder { last: 1, shown: 3 }));
}

#[tokio::test]
async fn a_repeated_event_is_detected() {
    let (end, ..) = watch(vec![vec![
        Ok(entry(1, "OrderPlaced", Accepted)),
        Ok(entry(1, "OrderPlaced", Accepted)),
    ]])
    .await;

    assert_eq!(end, Err(WatchError::OutOfOrder { last: 1, shown: 1 }));
}

#[tokio::test]
async fn an_event_after_the_final_one_is_detected() {
    let (end, ..) = watch(vec![vec![
        Ok(entry(1, "OrderFulfilled", Fulfilled)),
        Ok(entry(2, "OrderRejected", Fulfilled)),
    ]])
    .await;

    let status = "FULFILLED";
    assert_eq!(end, Err(WatchError::AfterFinal { version: 1, status }));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_detected() {
    let (end, ..) = watch(vec![vec![Ok(entry(1, "OrderPlaced", Accepted))]]).await;

    assert_eq!(end, Err(WatchError::Ended { version: 1 }));
}

#[tokio::test]
async fn the_watch_of_an_order_that_does_not_become_final_ends_at_the_deadline() {
    let (end, ..) = watch(vec![vec![
        Ok(entry(1, "OrderPlaced", Accepted)),
        Err(Status::unavailable("down")),
    ]])
    .await;

    let status = "ACCEPTED";
    assert_eq!(end, Err(WatchError::NotFinal { version: 1, status }));
}

#[tokio::test]
async fn the_watch_of_an_unknown_order_ends_with_not_found() {
    let (end, ..) = watch(vec![vec![Err(Status::not_found("no such order"))]]).await;

    assert!(matches!(end, Err(WatchError::Refused(_))), "{end:?}");
}
