//! Where calls go: round robin, around what is dead, and to where the name points.

use std::net::SocketAddr;

use tonic::Code;

use crate::server::{Action, Server};
use crate::setup::{Client, LENIENT, PLAIN, RETRYING, eventually};

#[tokio::test]
async fn calls_go_round_to_all_replicas_over_one_connection_each() {
    let one = Server::start(|_| Action::Answer).await;
    let other = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[one.address, other.address]);

    for _ in 0..10 {
        client.call().await.unwrap();
    }

    assert_eq!((one.count(), other.count()), (5, 5));
    assert_eq!(client.connections(), 2);
}

#[tokio::test]
async fn requests_name_scheme_and_host_of_the_address_and_not_the_ip_address() {
    // What is secure here is only the address: the connector decides what is spoken.
    for address in ["http://dependency:1", "https://dependency:1"] {
        let server = Server::start(|_| Action::Answer).await;
        let client = Client::at(address, PLAIN, LENIENT, &[server.address]);

        client.call().await.unwrap();

        assert_eq!(server.origins(), [address]);
    }
}

#[tokio::test]
async fn a_replica_that_dies_gets_no_calls_and_is_taken_back_when_it_lives() {
    let steady = Server::start(|_| Action::Answer).await;
    let dying = Server::start(|_| Action::Answer).await;
    let client = Client::new(RETRYING, LENIENT, &[steady.address, dying.address]);
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
    let back = Server::start_at(address, |_| Action::Answer).await;
    eventually("calls reach the replica that is back", async || {
        client.call().await.unwrap();
        back.count() >= 3
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_refuses_all_calls_is_ejected() {
    let well = Server::start(|_| Action::Answer).await;
    let unwell = Server::start(|_| Action::Refuse(Code::Unavailable)).await;
    let client = Client::new(RETRYING, LENIENT, &[well.address, unwell.address]);

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
async fn a_call_whose_replica_dies_is_repeated_on_another_if_its_policy_says_so() {
    for (service_config, expected) in [(RETRYING, Code::Ok), (PLAIN, Code::Unavailable)] {
        let dying = Server::start(|_| Action::Hang).await;
        let other = Server::start(|_| Action::Answer).await;
        let client = Client::new(service_config, LENIENT, &[dying.address, other.address]);
        let killing = async {
            eventually("a call hangs", async || dying.count() == 1).await;
            dying.kill().await;
        };

        // One of the two calls goes to the replica that dies.
        let (one, another, _) = tokio::join!(client.call(), client.call(), killing);

        let worse = one
            .and(another)
            .map_or_else(|status| status.code(), |()| Code::Ok);
        assert_eq!(worse, expected);
    }
}

#[tokio::test]
async fn calls_follow_the_name_when_it_moves() {
    let old = Server::start(|_| Action::Answer).await;
    let new = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[old.address]);
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
async fn a_failed_connection_makes_the_name_be_looked_up_before_its_time() {
    let old = Server::start(|_| Action::Answer).await;
    let new = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[old.address]);
    client.call().await.unwrap();
    client.resolves_to(&[new.address]);
    let begun = std::time::Instant::now();

    old.kill().await;

    eventually("calls move", async || client.call().await.is_ok()).await;
    let elapsed = begun.elapsed();
    assert!(elapsed < std::time::Duration::from_secs(3), "{elapsed:?}");
}

#[tokio::test]
async fn a_name_that_is_not_found_any_more_keeps_its_replicas() {
    let server = Server::start(|_| Action::Answer).await;
    let client = Client::new(PLAIN, LENIENT, &[server.address]);
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
async fn a_name_that_was_never_found_is_unavailable_at_once() {
    let client = Client::new(PLAIN, LENIENT, &[] as &[SocketAddr]);

    let status = client.call().await.unwrap_err();

    assert_eq!(status.code(), Code::Unavailable);
}
