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
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::client::ClientTls;
use super::{ALPN_HTTP2, MaybeTlsStream};

/// TCP and TLS together: a lost packet is retransmitted after one second, and again after two.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// Connector for tonic's `Endpoint::connect_with_connector` and its variants.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Option<(ClientTls, ServerName<'static>)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{step} {address}")]
pub struct ConnectError {
    step: &'static str,
    address: String,
    source: io::Error,
}

const TCP: &str = "connecting to";
const TLS: &str = "the TLS handshake with";

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
        let Some((host, port)) = host_and_port(&uri) else {
            return Err(ConnectError {
                step: "no host or port in",
                address: uri.to_string(),
                source: io::ErrorKind::InvalidInput.into(),
            });
        };
        let connected = timeout(CONNECT_TIMEOUT, self.connect_to(host, port)).await;
        connected
            .unwrap_or_else(|late| Err((TCP, late.into())))
            .map(TokioIo::new)
            .map_err(|(step, source)| ConnectError {
                step,
                address: format!("{host}:{port}"),
                source,
            })
    }

    /// An error says in which step.
    async fn connect_to(
        &self,
        host: &str,
        port: u16,
    ) -> Result<MaybeTlsStream, (&'static str, io::Error)> {
        let tcp = TcpStream::connect((host, port)).await;
        let tcp = tcp.map_err(|error| (TCP, error))?;
        // A call is one small packet and must not wait for Nagle's algorithm.
        tcp.set_nodelay(true).map_err(|error| (TCP, error))?;
        let Some((tls, name)) = &self.tls else {
            return Ok(MaybeTlsStream::Left(tcp));
        };
        let handshake = handshake(tls.current().into(), name.clone(), tcp).await;
        handshake.map_err(|error| (TLS, error))
    }
}

pub(super) async fn handshake(
    tls: TlsConnector,
    name: ServerName<'static>,
    tcp: TcpStream,
) -> io::Result<MaybeTlsStream> {
    let stream = tls.connect(name, tcp).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(io::Error::other("the server does not speak HTTP/2"));
    }
    Ok(MaybeTlsStream::Right(Box::new(stream.into())))
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
