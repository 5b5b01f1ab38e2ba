//! No call takes longer than its deadline.

use std::time::{Duration, Instant};

use grpc::grpc_timeout::parse_timeout;
use tokio::net::TcpListener;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{CALLER, LENIENT, PLAIN, RETRYING, TestClient};

const PREVIOUS: &str = "grpc-previous-rpc-attempts";

const LIMIT: Duration = Duration::from_millis(200);

/// Tolerance after the deadline.
const SLACK: Duration = Duration::from_millis(20);

/// A busy machine may delay one try, but not all; a client that waits too long delays all.
const TRIES: usize = 5;

async fn ends_at_its_deadline(client: &TestClient) {
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
async fn a_call_to_a_hanging_server_ends_at_its_deadline() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Hang).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    ends_at_its_deadline(&client).await;

    let repeated = server
        .calls()
        .iter()
        .any(|headers| headers.contains_key(PREVIOUS));
    assert!(!repeated, "an expired call is not retried");
}

#[tokio::test]
async fn a_call_to_a_silent_server_ends_at_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TestClient::new(RETRYING, LENIENT, &[address]);

    ends_at_its_deadline(&client).await;
}

#[tokio::test]
async fn a_stalled_response_ends_at_its_deadline() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Stall).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    ends_at_its_deadline(&client).await;
}

#[tokio::test]
async fn all_attempts_share_one_deadline_and_send_the_remaining_time() {
    let server = ScriptedServer::start(|call| match call % 2 {
        0 => ScriptedAnswer::Refuse(Code::Unavailable),
        _ => ScriptedAnswer::Hang,
    });
    let server = server.await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

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
async fn a_backoff_beyond_the_deadline_is_not_begun() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::PushBack("60000")).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);
    let begun = Instant::now();

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_call_without_time_left_is_not_sent() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call_within(Duration::ZERO).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(client.connections(), 0);
}

#[tokio::test]
async fn the_policy_limits_a_call_without_a_deadline() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Hang).await;
    let limited = r#"{"methodConfig": [{"name": [{}], "timeout": "0.2s"}]}"#;
    let client = TestClient::new(limited, LENIENT, &[server.address]);

    let status = client
        .send(Request::new(HealthCheckRequest::default()))
        .await;

    assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_timeout_set_on_the_request_counts_as_well() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Hang).await;
    let client = TestClient::new(PLAIN, LENIENT, &[server.address]);
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(LIMIT);

    let status = client.send(request).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
}
