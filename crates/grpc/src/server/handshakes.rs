//! Concurrent TLS handshakes, each with a timeout.
//!
//! A client that stalls its handshake delays no other: each handshake runs in its own task with a timeout, and at the
//! limit of concurrent handshakes the oldest is aborted for the newest.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::connection::AcceptedConnection;
use super::connection_limiter::{ConnectionLimiter, ConnectionPermit};
use crate::tls::{ALPN_HTTP2, MaybeTlsStream};

/// A handshake takes two round trips; the rest is margin for a slow network.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Concurrent handshakes. Each costs about 20 KiB, and a normal one completes within half a second: it is aborted early
/// only above a thousand new connections per second.
const MAX_HANDSHAKES: usize = 512;

/// Handshakes in progress.
#[derive(Debug)]
pub(super) struct Handshakes {
    limit: usize,
    connections: ConnectionLimiter,
    max_age: Option<Duration>,
    tasks: JoinSet<Option<AcceptedConnection>>,
    /// From the oldest to the newest; some may have ended.
    begun: VecDeque<AbortHandle>,
}

impl Handshakes {
    pub(super) fn new(connections: ConnectionLimiter, max_age: Option<Duration>) -> Self {
        Self {
            limit: MAX_HANDSHAKES,
            connections,
            max_age,
            tasks: JoinSet::new(),
            begun: VecDeque::new(),
        }
    }

    pub(super) fn begin(
        &mut self,
        config: Arc<ServerConfig>,
        tcp: TcpStream,
        permit: ConnectionPermit,
    ) {
        self.make_room();
        let (connections, max_age) = (self.connections.clone(), self.max_age);
        let handle = self.tasks.spawn(async move {
            match shake_hands(config, tcp, &permit).await {
                Ok(stream) => Some(AcceptedConnection::new(stream, permit, max_age)),
                Err(error) => {
                    connections.count_failed_handshake();
                    tracing::debug!(%error, "TLS handshake failed");
                    None
                }
            }
        });
        self.begun.push_back(handle);
    }

    /// The next connection with a completed handshake; pending if there is none.
    pub(super) async fn next(&mut self) -> AcceptedConnection {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Some(connection))) => return connection,
                // Failed or aborted.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn make_room(&mut self) {
        if self.begun.len() < self.limit {
            return;
        }
        self.begun.retain(|handshake| !handshake.is_finished());
        if self.begun.len() >= self.limit
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
            self.connections.count_failed_handshake();
            tracing::debug!("TLS handshake aborted for a newer one");
        }
    }
}

async fn shake_hands(
    config: Arc<ServerConfig>,
    tcp: TcpStream,
    permit: &ConnectionPermit,
) -> io::Result<MaybeTlsStream> {
    let handshake = tokio::time::timeout(TIMEOUT, TlsAcceptor::from(config).accept(tcp));
    let stream = tokio::select! {
        finished = handshake => finished.map_err(|_| io::Error::other("handshake timed out"))??,
        () = permit.close_token().cancelled() => {
            return Err(io::Error::other("the connection was evicted"));
        }
    };
    // A client that offers only other protocols fails the handshake; this one has offered none.
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(io::Error::other("the client did not negotiate HTTP/2"));
    }
    Ok(MaybeTlsStream::Right(Box::new(stream.into())))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::connection_limiter::ConnectionLimiter;
    use crate::tls::{IdentityFiles, PemFile, ServerTls, ServerTlsFiles};

    fn tls() -> ServerTls {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["some.test".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            PemFile {
                setting: "FILE",
                path,
            }
        };
        let files = ServerTlsFiles {
            identity: IdentityFiles {
                certificate: file("certificate", cert.pem()),
                key: file("key", signing_key.serialize_pem()),
            },
            client_authorities: None,
        };
        ServerTls::load(&files).unwrap()
    }

    #[tokio::test]
    async fn the_oldest_handshake_is_aborted_for_the_newest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = tls();
        let connections = ConnectionLimiter::new(10);
        let mut handshakes = Handshakes::new(connections.clone(), None);
        handshakes.limit = 2;
        let mut clients = Vec::new();

        for _ in 0..3 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            clients.push(client.unwrap());
            let (tcp, _) = listener.accept().await.unwrap();
            let permit = connections.try_acquire(&CancellationToken::new()).unwrap();
            handshakes.begin(tls.current(), tcp, permit);
        }

        let mut first = clients.remove(0);
        assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0);
        let others_go_on = clients.iter().all(|client| {
            let read = client.try_read(&mut [0]).unwrap_err();
            read.kind() == io::ErrorKind::WouldBlock
        });
        assert!(others_go_on);
    }
}
