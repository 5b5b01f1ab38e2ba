//! TLS handshakes, many at once and none of them for long.
//!
//! A client that does not finish its handshake holds up nobody: each has a task of its own, a time limit, and when as
//! many are going on as may, the oldest is given up for the newest.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::accept::Terms;
use super::connection::Connection;
use super::connections::Seat;
use crate::tls::{ALPN_HTTP2, MaybeTlsStream};
use service::error_chain::ErrorChain;

/// A handshake takes two round trips; this long is patience with a bad line.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes that go on at once. Each costs some 20 KiB, and an honest one is done within half a second: only more than
/// a thousand new connections a second can push it out.
const AT_ONCE: usize = 512;

/// The handshakes that are going on.
#[derive(Debug)]
pub(super) struct Handshakes {
    at_once: usize,
    tasks: JoinSet<Option<Connection>>,
    /// From the oldest to the newest; some may have ended.
    begun: VecDeque<AbortHandle>,
}

#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("the client does not go on")]
    Timeout,
    #[error("the seat was given to another connection")]
    SeatLost,
    #[error("the client has not asked for HTTP/2")]
    NotHttp2,
    #[error("the client or its certificate is refused")]
    Refused(#[from] io::Error),
}

impl Default for Handshakes {
    fn default() -> Self {
        Self::at_most(AT_ONCE)
    }
}

impl Handshakes {
    fn at_most(at_once: usize) -> Self {
        Self {
            at_once,
            tasks: JoinSet::new(),
            begun: VecDeque::new(),
        }
    }

    pub(super) fn begin(
        &mut self,
        config: Arc<ServerConfig>,
        tcp: TcpStream,
        seat: Seat,
        terms: &Terms,
    ) {
        self.make_room(terms);
        let terms = terms.clone();
        let handle = self.tasks.spawn(async move {
            match shake_hands(config, tcp, &seat).await {
                Ok(stream) => Some(Connection::new(stream, seat, terms.longest)),
                Err(error) => {
                    terms.connections.count_failed_handshake();
                    tracing::debug!(error = %ErrorChain(&error), "TLS handshake failed");
                    None
                }
            }
        });
        self.begun.push_back(handle);
    }

    /// The next connection whose handshake has succeeded; never, if there is none.
    pub(super) async fn next(&mut self) -> Connection {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Some(connection))) => return connection,
                // Failed or given up.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn make_room(&mut self, terms: &Terms) {
        if self.begun.len() < self.at_once {
            return;
        }
        self.begun.retain(|handshake| !handshake.is_finished());
        if self.begun.len() >= self.at_once
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
            terms.connections.count_failed_handshake();
            tracing::debug!("TLS handshake given up for a newer one");
        }
    }
}

async fn shake_hands(
    config: Arc<ServerConfig>,
    tcp: TcpStream,
    seat: &Seat,
) -> Result<MaybeTlsStream, HandshakeError> {
    let handshake = tokio::time::timeout(TIMEOUT, TlsAcceptor::from(config).accept(tcp));
    let stream = tokio::select! {
        finished = handshake => finished.map_err(|_| HandshakeError::Timeout)??,
        () = seat.hang_up().cancelled() => return Err(HandshakeError::SeatLost),
    };
    // A client that asks for other protocols only was refused by the handshake; this one has asked for none.
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_HTTP2) {
        return Err(HandshakeError::NotHttp2);
    }
    Ok(MaybeTlsStream::Tls(Box::new(stream.into())))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::connections::Connections;
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
    async fn the_oldest_handshake_is_given_up_for_the_newest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = tls();
        let terms = Terms {
            tls: Some(tls.clone()),
            connections: Connections::new(10),
            closing: CancellationToken::new(),
            longest: None,
        };
        let mut handshakes = Handshakes::at_most(2);
        let mut clients = Vec::new();

        for _ in 0..3 {
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            clients.push(client.unwrap());
            let (tcp, _) = listener.accept().await.unwrap();
            let seat = terms.connections.take_seat(&terms.closing).unwrap();
            handshakes.begin(tls.current(), tcp, seat, &terms);
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
