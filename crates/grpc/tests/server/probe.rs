//! What a container finds out about the server in it, whatever TLS the server wants.

use std::net::TcpListener;
use std::time::Duration;

use grpc::probe::{ProbeError, ask};
use grpc::server::{ConnectionAge, GrpcConfig};

use crate::certificates::{Authority, HOST};
use crate::server::{RunningServer, Terms};

#[tokio::test]
async fn a_probe_tells_readiness_with_tls_and_without() {
    let authority = Authority::new();
    let with_tls = || Terms {
        identity: Some(authority.issue(HOST)),
        ..Terms::default()
    };
    let with_both_certificates = Terms {
        client_authority: Some(&authority),
        ..with_tls()
    };
    for terms in [Terms::default(), with_tls(), with_both_certificates] {
        let server = RunningServer::start(terms).await;

        let before = server.probe().await;
        server.become_ready().await;
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
async fn a_server_whose_certificate_has_expired_is_as_ready_as_it_says() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue_expired(HOST)).await;
    server.become_ready().await;

    let found = server.probe().await;

    assert!(found.is_ok(), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn nobody_and_somebody_who_says_nothing_are_not_ready() {
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

    let of_silence = ask(&config).await;
    drop(silent);
    let of_nobody = ask(&config).await;

    assert!(
        matches!(of_silence, Err(ProbeError::Late { .. })),
        "{of_silence:?}"
    );
    assert!(
        matches!(of_nobody, Err(ProbeError::Connect { .. })),
        "{of_nobody:?}"
    );
}
