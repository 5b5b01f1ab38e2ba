//! TLS connection of a probe to the server of its own container, with the server's files.
//!
//! The server's certificate is not verified: the probe sends nothing but a health check, and connects to this machine.
//! A verification would have to accept any certificate that the server may still use after a renewal, and would make a
//! working service unready when it failed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::finish;
use super::connector::handshake;
use super::pem::TlsError;
use super::server::ServerTlsFiles;
use super::{MaybeTlsStream, provider};

/// TLS configuration for the server with these files. Presents the server's own certificate if the server requests one.
pub(crate) fn connector(files: &ServerTlsFiles) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(|error| files.identity.certificate.error(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SkipVerification(provider())));
    let is_asked = files.client_authorities.is_some();
    let config = finish(builder, is_asked.then_some(&files.identity))?;
    Ok(Arc::new(config).into())
}

/// Connects, with TLS if given.
pub(crate) async fn connect(
    address: SocketAddr,
    tls: Option<TlsConnector>,
) -> io::Result<TokioIo<MaybeTlsStream>> {
    let tcp = TcpStream::connect(address).await?;
    let Some(tls) = tls else {
        return Ok(TokioIo::new(MaybeTlsStream::Left(tcp)));
    };
    let stream = handshake(tls, address.ip().into(), tcp).await?;
    Ok(TokioIo::new(stream))
}

/// Accepts any certificate, see the module; the signature by its key is still verified.
#[derive(Debug)]
struct SkipVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for SkipVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
