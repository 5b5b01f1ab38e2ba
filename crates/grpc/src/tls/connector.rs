//! Connector of a client: TCP, and TLS if configured.
//!
//! The expected name of the server's certificate belongs to the connector, not to the address of a connection: a client
//! that has resolved the replicas connects to IP addresses, and the certificate is for the name.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::ALPN_HTTP2;
use super::client::ClientTls;
use super::stream::MaybeTlsStream;

/// TCP and TLS together: a lost packet is retransmitted after one second, and again after two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Connector for tonic's `Endpoint::connect_with_connector` and its variants.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Option<(ClientTls, ServerName<'static>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URI has no host, or no port and no scheme that implies one.
    #[error("{0} has no host or port to connect to")]
    Address(Uri),
    #[error("connecting to {address}")]
    Tcp { address: String, source: io::Error },
    #[error("the TLS handshake with {address}")]
    Tls { address: String, source: io::Error },
    #[error("{address} does not speak HTTP/2")]
    NotHttp2 { address: String },
    #[error("connecting to {address} took longer than {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout { address: String },
}

impl Connector {
    pub fn plain() -> Self {
        Self { tls: None }
    }

    /// TLS to servers whose certificate is for this host, a name or an IP address.
    pub fn tls(tls: ClientTls, host: &str) -> Result<Self, InvalidDnsNameError> {
        let name = ServerName::try_from(without_brackets(host).to_owned())?;
        Ok(Self {
            tls: Some((tls, name)),
        })
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<MaybeTlsStream>, ConnectError> {
        let (host, port) = host_and_port(&uri).ok_or_else(|| ConnectError::Address(uri.clone()))?;
        let address = format!("{host}:{port}");
        let connecting = self.connect_to(host, port, &address);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| ConnectError::Timeout {
                address: address.clone(),
            })??;
        Ok(TokioIo::new(stream))
    }

    async fn connect_to(
        &self,
        host: &str,
        port: u16,
        address: &str,
    ) -> Result<MaybeTlsStream, ConnectError> {
        let tcp_error = |source| ConnectError::Tcp {
            address: address.to_owned(),
            source,
        };
        let tcp = TcpStream::connect((host, port)).await.map_err(tcp_error)?;
        // A call is one small packet and must not wait for Nagle's algorithm.
        tcp.set_nodelay(true).map_err(tcp_error)?;
        match &self.tls {
            None => Ok(MaybeTlsStream::Plain(tcp)),
            Some((tls, name)) => handshake(tls, name.clone(), tcp, address).await,
        }
    }
}

async fn handshake(
    tls: &ClientTls,
    name: ServerName<'static>,
    tcp: TcpStream,
    address: &str,
) -> Result<MaybeTlsStream, ConnectError> {
    let connector: TlsConnector = tls.current().into();
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(|source| ConnectError::Tls {
            address: address.to_owned(),
            source,
        })?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(ConnectError::NotHttp2 {
            address: address.to_owned(),
        });
    }
    Ok(MaybeTlsStream::Tls(Box::new(stream.into())))
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let implied = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some((without_brackets(host), uri.port_u16().or(implied)?))
}

/// URIs write IPv6 addresses in brackets; resolvers and certificates do not.
fn without_brackets(host: &str) -> &str {
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(host)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<MaybeTlsStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read_from_a_uri() {
        for (uri, expected) in [
            ("http://orders.test:50051", Some(("orders.test", 50_051))),
            ("https://orders.test", Some(("orders.test", 443))),
            ("http://10.0.0.1/", Some(("10.0.0.1", 80))),
            ("https://[::1]:7", Some(("::1", 7))),
            ("orders.test:50051", Some(("orders.test", 50_051))),
            ("orders.test", None),
            ("/orders", None),
        ] {
            assert_eq!(host_and_port(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
