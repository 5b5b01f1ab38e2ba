//! Accept loop.
//!
//! ```text
//! accept ──▶ permit ──▶ (TLS handshake, many at once) ──▶ tonic
//!   │          └─ none free: evict the connection idle longest, else reject this one
//!   └─ error, such as no file descriptors: pause, then retry
//! ```
//!
//! No client can end the stream of connections or delay the next client. Dropping the stream closes the port and aborts
//! all handshakes.
//!
//! Own code: tls-listener has a handshake timeout but no connection limit, no eviction and no bound on handshakes;
//! axum-server replaces tonic's server instead of feeding it; tonic itself limits only the streams of a connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::connection::AcceptedConnection;
use super::connection_limiter::ConnectionLimiter;
use super::handshakes::Handshakes;
use crate::tls::{MaybeTlsStream, ServerTls};

/// Pause after an accept error that the next attempt would probably meet too: long enough for an evicted connection to
/// close, too short for a client to notice.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// At most one log line for accept errors per interval.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Settings that all connections of a server share.
#[derive(Clone, Debug)]
pub(super) struct AcceptConfig {
    pub(super) tls: Option<ServerTls>,
    pub(super) connections: ConnectionLimiter,
    /// Cancelled: closes all connections.
    pub(super) closing: CancellationToken,
    /// Age at which a connection is closed; `None`: unlimited.
    pub(super) max_age: Option<Duration>,
}

/// The accepted connections, after their handshakes. The stream does not end.
pub(super) fn incoming(
    listener: TcpListener,
    config: AcceptConfig,
) -> impl Stream<Item = Result<AcceptedConnection, Infallible>> {
    let renewing = config
        .tls
        .as_ref()
        .map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.renew(config.closing.clone()))));
    let acceptor = Acceptor {
        listener,
        handshakes: Handshakes::new(config.connections.clone(), config.max_age),
        config,
        last_logged: None,
        _renewing: renewing,
    };
    stream::unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

struct Acceptor {
    listener: TcpListener,
    config: AcceptConfig,
    handshakes: Handshakes,
    last_logged: Option<Instant>,
    /// Reloads certificates as long as the acceptor lives.
    _renewing: Option<AbortOnDropHandle<()>>,
}

impl Acceptor {
    async fn next(&mut self) -> AcceptedConnection {
        loop {
            let ready = tokio::select! {
                accepted = self.listener.accept() => self.admit(accepted).await,
                ready = self.handshakes.next() => Some(ready),
            };
            if let Some(connection) = ready {
                return connection;
            }
        }
    }

    /// The connection if it is ready without a handshake.
    async fn admit(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
    ) -> Option<AcceptedConnection> {
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                self.pause_after(&error).await;
                return None;
            }
        };
        let Some(permit) = self.config.connections.try_acquire(&self.config.closing) else {
            tracing::debug!("connection limit reached, connection rejected");
            return None;
        };
        // A response is one small packet and must not wait for Nagle's algorithm. If the connection is gone, the next
        // read fails.
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.config.tls else {
            let stream = MaybeTlsStream::Left(tcp);
            return Some(AcceptedConnection::new(stream, permit, self.config.max_age));
        };
        self.handshakes.begin(tls.current(), tcp, permit);
        None
    }

    async fn pause_after(&mut self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        if self
            .last_logged
            .is_none_or(|last| last.elapsed() >= LOG_INTERVAL)
        {
            self.last_logged = Some(Instant::now());
            tracing::warn!(%error, "accept failed");
        }
        // Most likely out of file descriptors (EMFILE): closing an idle connection frees one.
        self.config.connections.evict_idle();
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Whether the error concerns only this connection: the client aborted it before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Too many open files", accept(2).
    const EMFILE: i32 = 24;

    async fn acceptor() -> Acceptor {
        Acceptor {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            config: AcceptConfig {
                tls: None,
                connections: ConnectionLimiter::new(10),
                closing: CancellationToken::new(),
                max_age: None,
            },
            handshakes: Handshakes::new(ConnectionLimiter::new(10), None),
            last_logged: None,
            _renewing: None,
        }
    }

    #[tokio::test]
    async fn without_file_descriptors_an_idle_connection_is_evicted() {
        let mut acceptor = acceptor().await;
        let idle = acceptor
            .config
            .connections
            .try_acquire(&acceptor.config.closing)
            .unwrap();

        let admitted = acceptor
            .admit(Err(io::Error::from_raw_os_error(EMFILE)))
            .await;

        assert!(admitted.is_none());
        assert!(idle.close_token().is_cancelled());
    }

    #[tokio::test]
    async fn a_client_that_aborts_before_accept_evicts_no_connection() {
        let mut acceptor = acceptor().await;
        let idle = acceptor
            .config
            .connections
            .try_acquire(&acceptor.config.closing)
            .unwrap();

        let admitted = acceptor
            .admit(Err(io::ErrorKind::ConnectionAborted.into()))
            .await;

        assert!(admitted.is_none());
        assert!(!idle.close_token().is_cancelled());
    }
}
