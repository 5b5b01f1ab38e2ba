use rcgen::{CertifiedKey, generate_simple_self_signed};
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::*;
use crate::client::fake::Fake;

async fn error_of(address: &str) -> String {
    let arguments = TargetArguments::plain(vec![address.to_owned()]);
    format!("{:#}", arguments.connect().await.unwrap_err())
}

#[tokio::test]
async fn an_unreachable_target_is_named_with_the_reason() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);

    let error = error_of(&address).await;

    assert!(
        error.starts_with(&format!("cannot reach {address}")),
        "{error}"
    );
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_malformed_address_is_explained() {
    for address in ["localhost:50051", "ftp://host:1", "", "http://"] {
        let error = error_of(address).await;

        assert!(
            error.contains("expected http://HOST:PORT"),
            "{address}: {error}"
        );
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_the_address_that_answers_is_used() {
    let address = Fake::default()
        .serve()
        .await
        .replace("127.0.0.1", "localhost");

    let target = TargetArguments::plain(vec![address])
        .connect()
        .await
        .unwrap();

    assert_eq!(target.endpoints.len(), 1);
}

/// Files of a self-signed certificate for `localhost`.
struct SelfSigned {
    folder: tempfile::TempDir,
    certificate: String,
    key: String,
}

impl SelfSigned {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        fs::write(folder.path().join("tls.crt"), &certificate).unwrap();
        fs::write(folder.path().join("tls.key"), &key).unwrap();
        Self {
            folder,
            certificate,
            key,
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.path().join(name))
    }
}

/// A server with this certificate, that accepts only clients with that one.
async fn serve(own: &SelfSigned, client: &SelfSigned) -> String {
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&own.certificate, &own.key))
        .client_ca_root(Certificate::from_pem(&client.certificate));
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(health);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(server.serve_with_incoming(incoming));
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn a_server_is_verified_for_its_name_and_sees_the_certificate_of_the_client() {
    let (server, client) = (SelfSigned::new(), SelfSigned::new());
    let arguments = TargetArguments {
        ca: server.file("tls.crt"),
        cert: client.file("tls.crt"),
        key: client.file("tls.key"),
        ..TargetArguments::plain(vec![serve(&server, &client).await])
    };

    let target = arguments.connect().await.unwrap();

    let channel = target.endpoints[0].connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let answer = health.check(tonic_health::pb::HealthCheckRequest::default());
    assert!(answer.await.is_ok());
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_reached() {
    let (server, client) = (SelfSigned::new(), SelfSigned::new());
    let arguments = TargetArguments {
        ca: client.file("tls.crt"),
        ..TargetArguments::plain(vec![serve(&server, &client).await])
    };

    let error = format!("{:#}", arguments.connect().await.unwrap_err());

    assert!(
        error.starts_with("cannot reach https://localhost:"),
        "{error}"
    );
    assert!(error.to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_missing_certificate_file_is_named() {
    let arguments = TargetArguments {
        ca: Some(PathBuf::from("/does/not/exist.crt")),
        ..TargetArguments::plain(vec!["https://localhost:1".to_owned()])
    };

    let error = format!("{:#}", arguments.connect().await.unwrap_err());

    assert!(error.contains("cannot read /does/not/exist.crt"), "{error}");
}
