//! Who gets in and who does not; and the server goes on in any case.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::{Authority, HOST, Identity};
use crate::server::{RunningServer, Terms, connector};
use crate::who::Peer;

/// Less than a handshake may take.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_client_that_trusts_the_authority_gets_answers() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    let mut client = server.call_tls(&authority, None).await.unwrap();

    client.check().await.unwrap();
    assert_eq!(client.ask_who_i_am().await, Peer::without_certificate());
    server.stop().await;
}

#[tokio::test]
async fn a_server_of_a_foreign_authority_is_not_believed() {
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
async fn a_certificate_for_another_name_is_not_believed() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue("somebody.test")).await;

    let failure = server.call_tls(&authority, None).await.unwrap_err();

    assert!(failure.0.contains("not valid for name"), "{failure:?}");
    let client = server.call(connector(&authority, None, "somebody.test"));
    client.await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_not_believed() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue_expired(HOST)).await;

    let failure = server.call_tls(&authority, None).await.unwrap_err();

    assert!(failure.0.contains("certificate expired"), "{failure:?}");
}

#[tokio::test]
async fn a_client_without_tls_is_hung_up_on() {
    let authority = Authority::new();
    let server = RunningServer::start_with(authority.issue(HOST)).await;

    server.call_plain().await.unwrap_err();

    server.call_tls(&authority, None).await.unwrap();
}

#[tokio::test]
async fn a_client_with_tls_gets_nowhere_at_a_server_without() {
    let server = RunningServer::start(Terms::default()).await;

    let failure = server.call_tls(&Authority::new(), None).await.unwrap_err();

    assert!(failure.0.contains("the TLS handshake with"), "{failure:?}");
    server.call_plain().await.unwrap();
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_get_in_where_one_is_asked_for() {
    let (of_servers, of_clients) = (Authority::new(), Authority::new());
    let server = RunningServer::start(Terms {
        identity: Some(of_servers.issue(HOST)),
        client_authority: Some(&of_clients),
        ..Terms::default()
    })
    .await;
    let call = async |identity: Option<Identity>| server.call_tls(&of_servers, identity).await;

    call(None).await.unwrap_err();
    call(Some(of_servers.issue("client"))).await.unwrap_err();
    call(Some(of_clients.issue_expired("client")))
        .await
        .unwrap_err();

    let client = call(Some(of_clients.issue("client"))).await.unwrap();
    assert_eq!(client.ask_who_i_am().await, Peer::with_certificate());
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_http2_is_hung_up_on() {
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
async fn a_handshake_that_does_not_go_on_holds_up_nobody() {
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

    called.expect("the others do not matter").unwrap();
    for mut tcp in silent {
        // They are hung up on in the end.
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
