//! TLS and mTLS: which clients and servers are accepted.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::certificates::{Authority, HOST, Identity};
use crate::server::peer_service::PeerInfo;
use crate::server::running_server::{RunningServer, ServerOptions, connector};

/// Less than the handshake timeout.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_client_that_trusts_the_authority_gets_answers() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    let mut client = server.call_tls(&authority, None).await.unwrap();

    client.check().await.unwrap();
    assert_eq!(client.peer_info().await, PeerInfo::without_certificate());
    server.stop().await;
}

#[tokio::test]
async fn a_server_certificate_of_another_authority_is_not_accepted() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    let failure = server.call_tls(&Authority::new(), None).await.unwrap_err();

    assert!(
        failure.0.contains("invalid peer certificate"),
        "{failure:?}"
    );
    server.call_tls(&authority, None).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue("other.test")).await;

    let failure = server.call_tls(&authority, None).await.unwrap_err();

    assert!(failure.0.contains("not valid for name"), "{failure:?}");
    let client = server.call(connector(&authority, None, "other.test"));
    client.await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_not_accepted() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue_expired(HOST)).await;

    let failure = server.call_tls(&authority, None).await.unwrap_err();

    assert!(failure.0.contains("certificate expired"), "{failure:?}");
}

#[tokio::test]
async fn a_client_without_tls_is_disconnected() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    server.call_plain().await.unwrap_err();

    server.call_tls(&authority, None).await.unwrap();
}

#[tokio::test]
async fn a_tls_client_cannot_connect_to_a_server_without_tls() {
    let server = RunningServer::start(ServerOptions::default()).await;

    let failure = server.call_tls(&Authority::new(), None).await.unwrap_err();

    assert!(failure.0.contains("the TLS handshake with"), "{failure:?}");
    server.call_plain().await.unwrap();
}

#[tokio::test]
async fn mtls_accepts_only_clients_with_a_certificate_of_the_client_authority() {
    let (of_servers, of_clients) = (Authority::new(), Authority::new());
    let server = RunningServer::start(ServerOptions {
        identity: Some(of_servers.issue(HOST)),
        client_authority: Some(&of_clients),
        ..ServerOptions::default()
    })
    .await;
    let call = async |identity: Option<Identity>| server.call_tls(&of_servers, identity).await;

    call(None).await.unwrap_err();
    call(Some(of_servers.issue("client"))).await.unwrap_err();
    call(Some(of_clients.issue_expired("client")))
        .await
        .unwrap_err();

    let client = call(Some(of_clients.issue("client"))).await.unwrap();
    assert_eq!(client.peer_info().await, PeerInfo::with_certificate());
}

#[tokio::test]
async fn a_client_without_http2_in_alpn_is_disconnected() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    let mut stream = handshake_without_alpn(&server, &authority).await;
    let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;

    assert!(answer.is_empty());
    server.call_tls(&authority, None).await.unwrap();
}

#[tokio::test]
async fn a_stalled_handshake_delays_no_other_client() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        // The beginning of a handshake record.
        tcp.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        silent.push(tcp);
    }

    let called = tokio::time::timeout(SOON, server.call_tls(&authority, None)).await;

    called.expect("stalled handshakes do not matter").unwrap();
    for mut tcp in silent {
        // They are closed after the handshake timeout.
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    }
}

async fn handshake_without_alpn(
    server: &RunningServer,
    authority: &Authority,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let file = authority.write(server.directory.path(), "other");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file.path).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(HOST).unwrap(), tcp)
        .await
        .unwrap()
}
