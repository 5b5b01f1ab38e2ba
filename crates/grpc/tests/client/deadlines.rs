//! No call costs more than its deadline.

use std::time::{Duration, Instant};

use grpc::grpc_timeout::parse_timeout;
use tokio::net::TcpListener;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

use crate::server::{Action, Server};
use crate::setup::{CALLER, Client, LENIENT, PLAIN, RETRYING};

const PREVIOUS: &str = "grpc-previous-rpc-attempts";

const LIMIT: Duration = Duration::from_millis(200);

/// How much later than its deadline a call may end.
const SLACK: Duration = Duration::from_millis(20);

/// A busy machine may be late by itself, but not each time; a client that waits too long is.
const TRIES: usize = 5;

async fn ends_at_its_deadline(client: &Client) {
    let mut latest = Duration::MAX;
    for _ in 0..TRIES {
        let begun = Instant::now();

        let status = client.call_within(LIMIT).await.unwrap_err();

        let elapsed = begun.elapsed();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().domain, CALLER);
        assert!(elapsed >= LIMIT - Duration::from_millis(2), "{elapsed:?}");
        latest = latest.min(elapsed);
        if latest < LIMIT + SLACK {
            return;
        }
    }
    panic!("the call never ended in time: {latest:?}");
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_deadline() {
    let server = Server::start(|_| Action::Hang).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    ends_at_its_deadline(&client).await;

    let repeated = server
        .calls()
        .iter()
        .any(|headers| headers.contains_key(PREVIOUS));
    assert!(!repeated, "what was given up is not repeated");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_speaks_costs_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::new(RETRYING, LENIENT, &[address]);

    ends_at_its_deadline(&client).await;
}

#[tokio::test]
async fn an_answer_that_stalls_half_way_costs_the_deadline() {
    let server = Server::start(|_| Action::Stall).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    ends_at_its_deadline(&client).await;
}

#[tokio::test]
async fn all_attempts_share_one_deadline_and_tell_the_server_what_is_left() {
    let server = Server::start(|call| match call % 2 {
        0 => Action::Refuse(Code::Unavailable),
        _ => Action::Hang,
    });
    let server = server.await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    ends_at_its_deadline(&client).await;

    let left: Vec<_> = server
        .calls()
        .iter()
        .map(|headers| parse_timeout(&headers["grpc-timeout"]).unwrap())
        .collect();
    assert!(left[0] <= LIMIT);
    assert!(left[1] < left[0] - Duration::from_millis(8), "{left:?}");
}

#[tokio::test]
async fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let server = Server::start(|_| Action::PushBack("60000")).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);
    let begun = Instant::now();

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_call_without_time_left_is_not_sent() {
    let server = Server::start(|_| Action::Answer).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call_within(Duration::ZERO).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(client.connections(), 0);
}

#[tokio::test]
async fn the_policy_limits_a_call_that_brings_no_deadline() {
    let server = Server::start(|_| Action::Hang).await;
    let limited = r#"{"methodConfig": [{"name": [{}], "timeout": "0.2s"}]}"#;
    let client = Client::new(limited, LENIENT, &[server.address]);

    let status = client
        .send(Request::new(HealthCheckRequest::default()))
        .await;

    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_timeout_set_on_the_request_counts_as_well() {
    let server = Server::start(|_| Action::Hang).await;
    let client = Client::new(PLAIN, LENIENT, &[server.address]);
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(LIMIT);

    let status = client.send(request).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
}
