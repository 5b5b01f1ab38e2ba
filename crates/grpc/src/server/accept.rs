//! How connections come in.
//!
//! ```text
//! accept ──▶ seat ──▶ (TLS handshake, many at once) ──▶ tonic
//!   │          └─ none free: the connection idle longest is closed, or else this one
//!   └─ error: out of file descriptors, for example: a pause, and again
//! ```
//!
//! Nothing that a client does, or fails to do, ends the stream of connections or keeps the next client waiting. Dropping
//! the stream closes the port and ends all handshakes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;
use super::connections::Connections;
use super::handshakes::Handshakes;
use crate::tls::{MaybeTlsStream, ServerTls};

/// After an error that the next attempt will most likely meet too; long enough for a connection that was closed to be
/// gone, too short for a client to notice.
const PAUSE: Duration = Duration::from_millis(50);

/// How often such errors are logged at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What the connections of a server have in common.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) tls: Option<ServerTls>,
    pub(super) connections: Connections,
    /// Hangs up on all connections.
    pub(super) closing: CancellationToken,
    /// Hangs up on a connection of this age.
    pub(super) longest: Option<Duration>,
}

/// The connections of a server, ready to be served. They have no end.
pub(super) fn incoming(
    listener: TcpListener,
    terms: Terms,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let renewing = terms
        .tls
        .as_ref()
        .map(|tls| AbortOnDropHandle::new(tokio::spawn(tls.renew(terms.closing.clone()))));
    let door = Door {
        listener,
        terms,
        handshakes: Handshakes::default(),
        last_logged: None,
        _renewing: renewing,
    };
    stream::unfold(door, |mut door| async move {
        let connection = door.next().await;
        Some((Ok(connection), door))
    })
}

struct Door {
    listener: TcpListener,
    terms: Terms,
    handshakes: Handshakes,
    last_logged: Option<Instant>,
    /// Renewed certificates matter as long as there are new connections.
    _renewing: Option<AbortOnDropHandle<()>>,
}

impl Door {
    async fn next(&mut self) -> Connection {
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

    /// The connection, if there is one that is ready at once.
    async fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) -> Option<Connection> {
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                self.recover(&error).await;
                return None;
            }
        };
        let Some(seat) = self.terms.connections.take_seat(&self.terms.closing) else {
            tracing::debug!("connection refused, all others have calls in work");
            return None;
        };
        // An answer is one small packet: it must not wait for another one. If the connection is gone already, reading
        // from it will show.
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.terms.tls else {
            let stream = MaybeTlsStream::Plain(tcp);
            return Some(Connection::new(stream, seat, self.terms.longest));
        };
        self.handshakes.begin(tls.current(), tcp, seat, &self.terms);
        None
    }

    async fn recover(&mut self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        if self
            .last_logged
            .is_none_or(|last| last.elapsed() >= LOG_INTERVAL)
        {
            self.last_logged = Some(Instant::now());
            tracing::warn!(%error, "connections cannot be accepted for now");
        }
        // Most likely there are no file descriptors left: an idle connection has one.
        self.terms.connections.make_room();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the error says nothing about the next connection: the client has hung up before it was accepted.
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

    /// "Too many open files", as accept(2) says it.
    const EMFILE: i32 = 24;

    async fn door() -> Door {
        Door {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            terms: Terms {
                tls: None,
                connections: Connections::new(10),
                closing: CancellationToken::new(),
                longest: None,
            },
            handshakes: Handshakes::default(),
            last_logged: None,
            _renewing: None,
        }
    }

    #[tokio::test]
    async fn without_file_descriptors_an_idle_connection_makes_room() {
        let mut door = door().await;
        let idle = door
            .terms
            .connections
            .take_seat(&door.terms.closing)
            .unwrap();

        let admitted = door.admit(Err(io::Error::from_raw_os_error(EMFILE))).await;

        assert!(admitted.is_none());
        assert!(idle.hang_up().is_cancelled());
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_before_it_is_accepted_costs_nobody_a_seat() {
        let mut door = door().await;
        let idle = door
            .terms
            .connections
            .take_seat(&door.terms.closing)
            .unwrap();

        let admitted = door
            .admit(Err(io::ErrorKind::ConnectionAborted.into()))
            .await;

        assert!(admitted.is_none());
        assert!(!idle.hang_up().is_cancelled());
    }
}
