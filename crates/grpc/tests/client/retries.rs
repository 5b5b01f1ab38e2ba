//! Which calls are made again, as gRFC A6 has it.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::server::{Action, Server};
use crate::setup::{Client, LENIENT, PLAIN, RETRYING, closed_port};

fn previous_attempts(server: &Server) -> Vec<Option<String>> {
    let calls = server.calls();
    let header = |headers: &http::HeaderMap| {
        let value = headers.get("grpc-previous-rpc-attempts")?;
        Some(value.to_str().unwrap().to_owned())
    };
    calls.iter().map(header).collect()
}

#[tokio::test]
async fn a_call_is_repeated_until_it_succeeds_and_says_how_often_it_was_tried() {
    let server = Server::start(|call| match call {
        0 | 1 => Action::Refuse(Code::Unavailable),
        _ => Action::Answer,
    });
    let server = server.await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    client.call().await.unwrap();

    let expected = [None, Some("1".to_owned()), Some("2".to_owned())];
    assert_eq!(previous_attempts(&server), expected);
}

#[tokio::test]
async fn a_call_that_keeps_failing_is_given_up_after_its_attempts_with_the_servers_status() {
    let server = Server::start(|_| Action::Refuse(Code::Unavailable)).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "refused");
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_status_that_is_not_listed_is_final() {
    let server = Server::start(|_| Action::Refuse(Code::Internal)).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Internal);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_method_without_a_policy_is_called_once() {
    let server = Server::start(|_| Action::Refuse(Code::Unavailable)).await;
    let client = Client::new(PLAIN, LENIENT, &[server.address]);

    client.call().await.unwrap_err();

    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_final() {
    let server = Server::start(|_| Action::RefuseLate(Code::Unavailable)).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_server_that_forbids_it_is_not_called_again() {
    let server = Server::start(|_| Action::PushBack("-1")).await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);

    client.call().await.unwrap_err();

    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_server_that_names_the_wait_is_called_after_it() {
    let server = Server::start(|call| match call {
        0 => Action::PushBack("150"),
        _ => Action::Answer,
    });
    let server = server.await;
    let client = Client::new(RETRYING, LENIENT, &[server.address]);
    let begun = Instant::now();

    client.call().await.unwrap();

    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn when_much_fails_nothing_is_repeated_any_more() {
    let server = Server::start(|_| Action::Refuse(Code::Unavailable)).await;
    let throttled = RETRYING.replacen(
        '{',
        r#"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}, "#,
        1,
    );
    let client = Client::new(&throttled, LENIENT, &[server.address]);

    for _ in 0..10 {
        client.call().await.unwrap_err();
    }

    // Five failures leave half of the tokens: the first call is made three times, the second twice, the others once.
    assert_eq!(server.count(), 3 + 2 + 8);
}

#[tokio::test]
async fn a_call_that_was_never_sent_is_sent_elsewhere_without_a_policy() {
    let server = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[closed_port().await, server.address]);

    // One of two calls begins at the closed port.
    client.call().await.unwrap();
    client.call().await.unwrap();

    assert_eq!(previous_attempts(&server), [None, None]);
}
