//! Certificate renewal while the server runs.

use std::time::{Duration, Instant};

use crate::eventually::eventually;
use crate::server::certificates::{Authority, HOST};
use crate::server::running_server::RunningServer;

/// The server polls its files every two seconds and loads contents that two polls found.
const LONGER_THAN_TWO_POLLS: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_renewed_certificate_is_used_by_new_connections_and_old_ones_stay_open() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = RunningServer::start_with(old.issue(HOST)).await;
    let mut client = server.call_tls(&old, None).await.unwrap();

    new.issue(HOST).write(server.directory.path(), "server");

    eventually("the new certificate is in use", async || {
        server.call_tls(&new, None).await.is_ok()
    })
    .await;
    server.call_tls(&old, None).await.unwrap_err();
    client.check().await.unwrap();
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn an_unusable_renewal_keeps_the_old_certificate() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = RunningServer::start_with(old.issue(HOST)).await;
    let mut broken = new.issue(HOST);
    broken.key = new.issue(HOST).key;

    broken.write(server.directory.path(), "server");

    let written = Instant::now();
    eventually("renewed files have been polled", async || {
        server.call_tls(&old, None).await.unwrap();
        written.elapsed() > LONGER_THAN_TWO_POLLS
    })
    .await;
    new.issue(HOST).write(server.directory.path(), "server");
    eventually("a renewal that can be used is in use", async || {
        server.call_tls(&new, None).await.is_ok()
    })
    .await;
}
