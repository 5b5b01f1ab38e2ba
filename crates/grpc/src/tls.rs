//! TLS of gRPC server and client, from PEM files.
//!
//! Both ends:
//! - TLS 1.2 or later; the crypto provider is set here, never the process default, which any dependency may install.
//! - The peer's certificate is always verified, including its name. No setting disables this. The only exception is the
//!   probe of the server in the same container; see [`self_probe`].
//! - ALPN must negotiate `h2`: another protocol fails in the handshake, not in a parser.
//! - No session resumption, so that every connection verifies the current certificates. gRPC connections are
//!   long-lived: the cost of full handshakes is negligible.
//! - New connections use renewed files without a restart; see [`renewal`]. Open connections are not affected.
//!
//! Revocation lists are not checked: use short-lived certificates.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::either::Either;

mod client;
mod connector;
mod identity;
mod pem;
mod renewal;
pub(crate) mod self_probe;
mod server;

pub use client::{ClientTls, ClientTlsFiles, ClientTlsSettings};
pub use connector::{ConnectError, Connector};
pub use identity::IdentityFiles;
pub use pem::{PemFile, TlsError};
pub use renewal::{KeyMaterial, ReloadableConfig};
pub use server::{ServerTls, ServerTlsFiles};

/// A TCP connection with or without TLS.
pub type MaybeTlsStream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// RFC 9113, section 3.1.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(test)]
mod tests;
