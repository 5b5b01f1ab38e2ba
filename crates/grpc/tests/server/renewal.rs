//! Certificates that are renewed while the server runs.

use std::time::{Duration, Instant};

use crate::certificates::{Authority, HOST};
use crate::server::{RunningServer, eventually};

/// The server looks at its files every two seconds and uses what it has found twice.
const LONGER_THAN_TWO_LOOKS: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_renewed_certificate_is_used_by_new_connections_and_disturbs_no_old_one() {
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
async fn a_renewal_that_cannot_be_used_leaves_the_old_certificate_in_use() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = RunningServer::start_with(old.issue(HOST)).await;
    let mut broken = new.issue(HOST);
    broken.key = new.issue(HOST).key;

    broken.write(server.directory.path(), "server");

    let written = Instant::now();
    eventually("renewed files have been found", async || {
        server.call_tls(&old, None).await.unwrap();
        written.elapsed() > LONGER_THAN_TWO_LOOKS
    })
    .await;
    new.issue(HOST).write(server.directory.path(), "server");
    eventually("a renewal that can be used is in use", async || {
        server.call_tls(&new, None).await.is_ok()
    })
    .await;
}
