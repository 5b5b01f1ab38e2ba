//! TLS of the gRPC server and of a gRPC client, from PEM files.
//!
//! What holds for both ends:
//! - Version 1.2 or later; the provider of the cryptography is named here and never the one that some other part of the
//!   process happened to install.
//! - The peer's certificate is always checked, its name included. There is no setting that turns this off. Only a probe
//!   does not look at it, which asks the server of its own container; see [`self_probe`].
//! - ALPN has to agree on `h2`: whoever speaks something else is refused in the handshake and not by a parser.
//! - A session is never resumed, so that every connection checks the certificates as they are then. Connections of gRPC
//!   live long; a full handshake for each of them costs nothing that would be noticed.
//! - Renewed files are used by new connections, without a restart; see [`renewal`]. Open connections stay as they are.
//!
//! Revocation lists are not looked at: let certificates be short-lived.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::VerifierBuilderError;

use service::config::Settings;
use service::error_chain::ErrorChain;

mod client;
mod connector;
mod identity;
mod pem;
mod renewal;
pub(crate) mod self_probe;
mod server;
mod stream;

pub use client::{ClientTls, ClientTlsFiles, ClientTlsSettings};
pub use connector::{ConnectError, Connector};
pub use identity::IdentityFiles;
pub use pem::PemFile;
pub use server::{ServerTls, ServerTlsFiles};
pub use stream::MaybeTlsStream;

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.1).
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// A file that TLS cannot be set up with. Nothing of its contents is shown: it may be a key.
#[derive(Debug, thiserror::Error)]
#[error("using the file {} of {setting}", path.display())]
pub struct TlsError {
    setting: &'static str,
    path: PathBuf,
    source: Problem,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    #[error("it is not in the PEM format")]
    NotPem,
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("there is no private key in it")]
    NoKey,
    #[error("it cannot be used")]
    Refused(#[from] rustls::Error),
    #[error("it cannot be used to check certificates")]
    NoVerifier(#[from] VerifierBuilderError),
}

impl TlsError {
    /// Makes it a mistake of the configuration.
    fn reject(&self, settings: &mut Settings<'_>) {
        let why = format!("{}: {}", self.path.display(), ErrorChain(&self.source));
        settings.reject(self.setting, why);
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
