//! The health probe, with every TLS configuration of the server.

use std::net::TcpListener;
use std::time::Duration;

use grpc::probe::{ProbeError, ask};
use grpc::server::{ConnectionAge, GrpcConfig};

use crate::server::certificates::{Authority, HOST};
use crate::server::running_server::{RunningServer, ServerOptions};

#[tokio::test]
async fn the_probe_reports_readiness_with_tls_and_without() {
    let authority = Authority::new();
    let with_tls = || ServerOptions {
        identity: Some(authority.issue(HOST)),
        ..ServerOptions::default()
    };
    let with_both_certificates = ServerOptions {
        client_authority: Some(&authority),
        ..with_tls()
    };
    for options in [ServerOptions::default(), with_tls(), with_both_certificates] {
        let server = RunningServer::start(options).await;

        let before = server.probe().await;
        server.become_ready();
        let after = server.probe().await;

        assert!(
            matches!(before, Err(ProbeError::NotReady { .. })),
            "{before:?}"
        );
        assert!(after.is_ok(), "{after:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_probe_accepts_an_expired_certificate() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue_expired(HOST)).await;
    server.become_ready();

    let found = server.probe().await;

    assert!(found.is_ok(), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_probe_fails_without_a_server_and_with_a_silent_one() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let config = GrpcConfig {
        listen: address,
        call_limit: Duration::from_secs(1),
        concurrency: 1,
        connections: 1,
        connection_age: ConnectionAge::new(Duration::ZERO),
        tls: None,
        has_reflection: false,
    };

    let from_silent = ask(&config).await;
    drop(silent);
    let from_nothing = ask(&config).await;

    assert!(
        matches!(from_silent, Err(ProbeError::Late { .. })),
        "{from_silent:?}"
    );
    assert!(
        matches!(from_nothing, Err(ProbeError::Connect { .. })),
        "{from_nothing:?}"
    );
}
