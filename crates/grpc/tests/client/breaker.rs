//! A dependency that is unwell is left alone, and found again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc::client::BreakerRules;
use tonic::Code;
use tonic_types::StatusExt;

use crate::server::{Action, Server};
use crate::setup::{Client, LENIENT, PLAIN, closed_port, eventually};

const RULES: BreakerRules = BreakerRules {
    least_calls: 5,
    failure_share: 0.5,
    slow_call: Duration::from_millis(100),
    slow_share: 0.5,
    ..LENIENT
};

/// A server that is unwell in this way until it recovers.
async fn unwell(action: Action) -> (Server, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(false));
    let recovers = Arc::clone(&is_well);
    let script = move |_| match is_well.load(Ordering::SeqCst) {
        true => Action::Answer,
        false => action,
    };
    (Server::start(script).await, recovers)
}

async fn call_until_open(client: &Client) {
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

async fn opens_and_closes(action: Action) {
    let (server, is_well) = unwell(action).await;
    let client = Client::new(PLAIN, RULES, &[server.address]);

    call_until_open(&client).await;

    let before = server.count();
    assert_eq!(before, 5);
    let status = client.call().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_error_details().retry_info().is_some());
    assert_eq!(server.count(), before, "open: the server is left alone");

    is_well.store(true, Ordering::SeqCst);
    eventually("the breaker closes", async || client.call().await.is_ok()).await;
    for _ in 0..10 {
        client.call().await.unwrap();
    }
}

#[tokio::test]
async fn a_breaker_opens_on_errors_and_closes_after_recovery() {
    opens_and_closes(Action::Refuse(Code::Internal)).await;
}

#[tokio::test]
async fn a_breaker_opens_on_slow_calls_and_closes_after_recovery() {
    opens_and_closes(Action::AnswerAfter(Duration::from_millis(110))).await;
}

#[tokio::test]
async fn answers_that_are_the_callers_own_fault_never_open_it() {
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
    ] {
        let (server, _) = unwell(Action::Refuse(code)).await;
        let client = Client::new(PLAIN, RULES, &[server.address]);

        for _ in 0..20 {
            assert_eq!(client.call().await.unwrap_err().code(), code);
        }
    }
}

#[tokio::test]
async fn callers_that_give_up_early_never_open_it() {
    let (server, is_well) = unwell(Action::Hang).await;
    let patient = BreakerRules {
        slow_call: Duration::from_secs(60),
        ..RULES
    };
    let client = Client::new(PLAIN, patient, &[server.address]);

    for call in 1..=20 {
        tokio::select! {
            _ = client.call() => panic!("the server hangs"),
            () = eventually("the call arrives", async || server.count() == call) => {}
        }
    }

    is_well.store(true, Ordering::SeqCst);
    client.call().await.unwrap();
}

#[tokio::test]
async fn an_open_breaker_answers_without_a_connection_being_made() {
    let client = Client::new(PLAIN, RULES, &[closed_port().await]);
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
