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
use crate::error_chain::ErrorChain;
use crate::tls::{ALPN_HTTP2, MaybeTlsStream};

/// A handshake takes two round trips; this long is patience with a bad line.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes that go on at once. Each costs some 20 KiB, and a honest one is done within half a second: only more than
/// a thousand new connections a second can push it out.
const AT_ONCE: usize = 512;

/// The handshakes that are going on.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
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

impl Handshakes {
    pub(super) fn begin(
        &mut self,
        config: Arc<ServerConfig>,
        tcp: TcpStream,
        seat: Seat,
        terms: &Terms,
    ) {
        self.make_room();
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

    fn make_room(&mut self) {
        if self.begun.len() < AT_ONCE {
            return;
        }
        self.begun.retain(|handshake| !handshake.is_finished());
        if self.begun.len() >= AT_ONCE
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
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
