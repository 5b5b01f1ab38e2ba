//! Round robin, ejection, and discovery.

use std::net::SocketAddr;

use tonic::Code;

use crate::client::scripted_server::{ScriptedAnswer, ScriptedServer};
use crate::client::setup::{LENIENT, PLAIN, RETRYING, TestClient};
use crate::eventually::eventually;

#[tokio::test]
async fn calls_are_distributed_round_robin_over_one_connection_per_replica() {
    let one = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let other = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[one.address, other.address]);

    for _ in 0..10 {
        client.call().await.unwrap();
    }

    assert_eq!((one.count(), other.count()), (5, 5));
    assert_eq!(client.connections(), 2);
}

#[tokio::test]
async fn requests_name_scheme_and_host_of_the_address_and_not_the_ip_address() {
    // Only the address says https: the connector decides about TLS.
    for address in ["http://dependency:1", "https://dependency:1"] {
        let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
        let client = TestClient::at(address, PLAIN, LENIENT, &[server.address]);

        client.call().await.unwrap();

        assert_eq!(server.origins(), [address]);
    }
}

#[tokio::test]
async fn a_dead_replica_gets_no_calls_and_is_readmitted_when_it_is_back() {
    let steady = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let dying = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(RETRYING, LENIENT, &[steady.address, dying.address]);
    client.call().await.unwrap();
    client.call().await.unwrap();

    let address = dying.kill().await;

    for _ in 0..20 {
        client.call().await.unwrap();
    }
    let before = client.connections();
    for _ in 0..20 {
        client.call().await.unwrap();
    }
    let tried = client.connections() - before;
    assert!(
        tried <= 1,
        "{tried} calls went to it, though it may get only a probe"
    );
    let back = ScriptedServer::start_at(address, |_| ScriptedAnswer::Answer).await;
    eventually("calls reach the replica that is back", async || {
        client.call().await.unwrap();
        back.count() >= 3
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_answers_unavailable_is_ejected() {
    let well = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let unwell = ScriptedServer::start(|_| ScriptedAnswer::Refuse(Code::Unavailable)).await;
    let client = TestClient::new(RETRYING, LENIENT, &[well.address, unwell.address]);

    for _ in 0..30 {
        client.call().await.unwrap();
    }

    let count = unwell.count();
    assert!(
        (3..=4).contains(&count),
        "{count} calls, one may be a probe"
    );
}

#[tokio::test]
async fn a_call_whose_replica_dies_is_retried_on_another_if_its_policy_says_so() {
    for (service_config, expected) in [(RETRYING, Code::Ok), (PLAIN, Code::Unavailable)] {
        let dying = ScriptedServer::start(|_| ScriptedAnswer::Hang).await;
        let other = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
        let client = TestClient::new(service_config, LENIENT, &[dying.address, other.address]);
        let killing = async {
            eventually("a call hangs", async || dying.count() == 1).await;
            dying.kill().await;
        };

        // One of the two calls goes to the replica that is killed.
        let (one, another, _) = tokio::join!(client.call(), client.call(), killing);

        let worse = one
            .and(another)
            .map_or_else(|status| status.code(), |()| Code::Ok);
        assert_eq!(worse, expected);
    }
}

#[tokio::test]
async fn calls_follow_the_name_when_it_resolves_elsewhere() {
    let old = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let new = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[old.address]);
    client.call().await.unwrap();

    client.resolves_to(&[new.address]);

    eventually("calls move", async || {
        client.call().await.unwrap();
        new.count() > 0
    })
    .await;
    let before = old.count();
    client.call().await.unwrap();
    client.call().await.unwrap();
    assert_eq!(old.count(), before);
}

#[tokio::test]
async fn a_failed_connection_triggers_a_lookup() {
    let old = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let new = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[old.address]);
    client.call().await.unwrap();
    client.resolves_to(&[new.address]);
    let begun = std::time::Instant::now();

    old.kill().await;

    eventually("calls move", async || client.call().await.is_ok()).await;
    let elapsed = begun.elapsed();
    assert!(elapsed < std::time::Duration::from_secs(3), "{elapsed:?}");
}

#[tokio::test]
async fn a_name_that_no_longer_resolves_keeps_its_replicas() {
    let server = ScriptedServer::start(|_| ScriptedAnswer::Answer).await;
    let client = TestClient::new(PLAIN, LENIENT, &[server.address]);
    client.call().await.unwrap();

    client.resolves_to(&[]);
    let looked = client.lookups();

    eventually("the name is looked up again", async || {
        client.lookups() > looked
    })
    .await;
    client.call().await.unwrap();
}

#[tokio::test]
async fn a_name_that_never_resolved_is_unavailable_at_once() {
    let client = TestClient::new(PLAIN, LENIENT, &[] as &[SocketAddr]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
}
