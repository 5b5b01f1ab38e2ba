//! The circuit breaker opens for a failing or slow dependency and closes after its recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc::client::BreakerRules;
use tonic::Code;
use tonic_types::StatusExt;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{LENIENT, PLAIN, TestClient, closed_port};
use crate::eventually::eventually;

const RULES: BreakerRules = BreakerRules {
    least_calls: 5,
    failure_share: 0.5,
    slow_call: Duration::from_millis(100),
    slow_share: 0.5,
    ..LENIENT
};

/// A server that fails in this way until it recovers.
async fn failing_server(action: ScriptedAnswer) -> (ScriptedServer, Arc<AtomicBool>) {
    let has_recovered = Arc::new(AtomicBool::new(false));
    let recovers = Arc::clone(&has_recovered);
    let script = move |_| match has_recovered.load(Ordering::SeqCst) {
        true => ScriptedAnswer::Answer,
        false => action,
    };
    (ScriptedServer::start(script).await, recovers)
}

async fn call_until_open(client: &TestClient) {
    eventually("the breaker opens", async || {
        let called = client.call_within(Duration::from_millis(500)).await;
        called.is_err_and(|status| is_refusal(&status))
    })
    .await;
}

fn is_refusal(status: &tonic::Status) -> bool {
    let details = status.get_error_details();
    details
        .error_info()
        .is_some_and(|info| info.reason == "DEPENDENCY_UNAVAILABLE")
}

async fn opens_and_closes(action: ScriptedAnswer) {
    let (server, has_recovered) = failing_server(action).await;
    let client = TestClient::new(PLAIN, RULES, &[server.address]);

    call_until_open(&client).await;

    let before = server.count();
    assert_eq!(before, 5);
    let status = client.call().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_error_details().retry_info().is_some());
    assert_eq!(server.count(), before, "open: the server gets no calls");

    has_recovered.store(true, Ordering::SeqCst);
    eventually("the breaker closes", async || client.call().await.is_ok()).await;
    for _ in 0..10 {
        client.call().await.unwrap();
    }
}

#[tokio::test]
async fn a_breaker_opens_on_errors_and_closes_after_recovery() {
    opens_and_closes(ScriptedAnswer::Refuse(Code::Internal)).await;
}

#[tokio::test]
async fn a_breaker_opens_on_slow_calls_and_closes_after_recovery() {
    opens_and_closes(ScriptedAnswer::AnswerAfter(Duration::from_millis(110))).await;
}

#[tokio::test]
async fn client_errors_never_open_it() {
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
    ] {
        let (server, _) = failing_server(ScriptedAnswer::Refuse(code)).await;
        let client = TestClient::new(PLAIN, RULES, &[server.address]);

        for _ in 0..20 {
            assert_eq!(client.call().await.unwrap_err().code(), code);
        }
    }
}

#[tokio::test]
async fn calls_abandoned_early_never_open_it() {
    let (server, has_recovered) = failing_server(ScriptedAnswer::Hang).await;
    let slow_rules = BreakerRules {
        slow_call: Duration::from_secs(60),
        ..RULES
    };
    let client = TestClient::new(PLAIN, slow_rules, &[server.address]);

    for call in 1..=20 {
        tokio::select! {
            _ = client.call() => panic!("the server hangs"),
            () = eventually("the call arrives", async || server.count() == call) => {}
        }
    }

    has_recovered.store(true, Ordering::SeqCst);
    client.call().await.unwrap();
}

#[tokio::test]
async fn an_open_breaker_rejects_without_connecting() {
    let client = TestClient::new(PLAIN, RULES, &[closed_port().await]);
    call_until_open(&client).await;
    let before = client.connections();

    let statuses = [client.call().await, client.call().await];

    assert!(
        statuses
            .into_iter()
            .all(|status| is_refusal(&status.unwrap_err()))
    );
    assert_eq!(client.connections(), before);
}
