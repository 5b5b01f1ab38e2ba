//! Retries by gRFC A6.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{LENIENT, PLAIN, RETRYING, TestClient, closed_port};
use crate::frames::{
    DATA, GOAWAY, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, RST_STREAM, RawConnection, frame,
};

fn previous_attempts(server: &ScriptedServer) -> Vec<Option<String>> {
    let calls = server.calls();
    let header = |headers: &http::HeaderMap| {
        let value = headers.get("grpc-previous-rpc-attempts")?;
        Some(value.to_str().unwrap().to_owned())
    };
    calls.iter().map(header).collect()
}

#[tokio::test]
async fn a_call_is_retried_until_it_succeeds_and_sends_its_attempt_count() {
    let server = ScriptedServer::start(|call| match call {
        0 | 1 => ScriptedAnswer::Refuse(Code::Unavailable),
        _ => ScriptedAnswer::Answer,
    });
    let server = server.await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    client.call().await.unwrap();

    let expected = [None, Some("1".to_owned()), Some("2".to_owned())];
    assert_eq!(previous_attempts(&server), expected);
}

#[tokio::test]
async fn a_call_fails_with_the_servers_status_after_its_last_attempt() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "refused");
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_status_that_is_not_listed_is_not_retried() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Internal)).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Internal);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_method_without_a_policy_is_called_once() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let client = TestClient::new(PLAIN, LENIENT, &[server.address]);

    client.call().await.unwrap_err();

    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_response_that_has_begun_is_not_retried() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::RefuseLate(Code::Unavailable)).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn negative_pushback_forbids_the_retry() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::PushBack("-1")).await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);

    client.call().await.unwrap_err();

    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn pushback_delays_the_retry() {
    let server = ScriptedServer::start(|call| match call {
        0 => ScriptedAnswer::PushBack("150"),
        _ => ScriptedAnswer::Answer,
    });
    let server = server.await;
    let client = TestClient::new(RETRYING, LENIENT, &[server.address]);
    let begun = Instant::now();

    client.call().await.unwrap();

    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn an_exhausted_retry_budget_stops_retries() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let throttled = RETRYING.replacen(
        '{',
        r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}, "#,
        1,
    );
    let client = TestClient::new(&throttled, LENIENT, &[server.address]);

    for _ in 0..10 {
        client.call().await.unwrap_err();
    }

    // Five failures leave half of the tokens: the first call is made three times, the second twice, the others once.
    assert_eq!(server.count(), 3 + 2 + 8);
}

#[tokio::test]
async fn an_unsent_call_is_sent_to_another_replica_without_a_policy() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[closed_port().await, server.address]);

    // One of the two calls begins at the closed port.
    client.call().await.unwrap();
    client.call().await.unwrap();

    assert_eq!(previous_attempts(&server), [None, None]);
}

/// The answer to the stream of this number.
type Refusal = fn(u32) -> Vec<u8>;

/// The stream is after the last one that is processed.
fn goaway(_: u32) -> Vec<u8> {
    let payload = [0_u32.to_be_bytes(), NO_ERROR.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, &payload)
}

fn refused_stream(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes())
}

fn failed_stream(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes())
}

/// A server that refuses every stream once it has received a whole request.
async fn refusing_server(refusal: Refusal) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(refuse(tcp, refusal));
        }
    });
    address
}

async fn refuse(tcp: TcpStream, refusal: Refusal) {
    let mut connection = RawConnection::accept(tcp).await;
    while let Some(request) = connection.receive_one(DATA).await {
        connection.send(&refusal(request.stream)).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_the_server_has_not_processed_is_sent_to_another_replica_without_a_policy() {
    for refusal in [goaway as Refusal, refused_stream] {
        let refusing = refusing_server(refusal).await;
        let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
        let client = TestClient::new(PLAIN, LENIENT, &[refusing, server.address]);

        // One of the two calls begins at the server that refuses.
        client.call().await.unwrap();
        client.call().await.unwrap();

        assert_eq!(previous_attempts(&server), [None, None]);
    }
}

#[tokio::test]
async fn a_call_that_no_server_has_processed_is_unavailable() {
    for refusal in [goaway as Refusal, refused_stream] {
        let client = TestClient::new(PLAIN, LENIENT, &[refusing_server(refusal).await]);

        let status = client.call().await.unwrap_err();

        assert_eq!(status.code(), Code::Unavailable, "{status}");
    }
}

#[tokio::test]
async fn a_call_that_the_server_may_have_processed_is_not_sent_again() {
    let failing = refusing_server(failed_stream).await;
    let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[failing, server.address]);

    let answers = [client.call().await, client.call().await];

    // One of the two calls begins at the server that fails.
    let mut failures = answers.into_iter().filter_map(Result::err);
    assert_eq!(failures.next().unwrap().code(), Code::Internal);
    assert!(failures.next().is_none());
    assert_eq!(server.count(), 1);
}
