//! A connection that closes itself at its deadlines.
//!
//! HTTP/2 begins with a preface. Before it neither keepalive nor a graceful stop reaches a connection. This wrapper
//! closes a connection without a preface, and every connection that was evicted, is too old, or is still open when the
//! drain time of a stop is over. It does so while waiting to read and while waiting to write: a client that sends
//! requests and never reads the responses stops the server from reading.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use super::connection_limiter::{Activity, ConnectionPermit, InFlightCall};
use crate::tls::MaybeTlsStream;

/// A client sends the preface with its first packet; the rest is margin for a slow network.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;

/// A connection with its close conditions.
pub(super) struct AcceptedConnection {
    stream: MaybeTlsStream,
    permit: ConnectionPermit,
    max_age: Option<Duration>,
    received: usize,
    close: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
}

impl fmt::Debug for AcceptedConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AcceptedConnection")
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}

impl AcceptedConnection {
    /// Closes when the preface is late, at `max_age`, or when the permit is revoked.
    pub(super) fn new(
        stream: MaybeTlsStream,
        permit: ConnectionPermit,
        max_age: Option<Duration>,
    ) -> Self {
        let close = close_after(&permit, Some(PREFACE_TIMEOUT));
        Self {
            stream,
            permit,
            max_age,
            received: 0,
            close,
            is_over: false,
        }
    }

    fn note_received(&mut self, bytes: usize) {
        let greeted_before = self.received >= PREFACE_BYTES;
        self.received = self.received.saturating_add(bytes);
        if !greeted_before && self.received >= PREFACE_BYTES {
            self.close = close_after(&self.permit, self.max_age);
        }
    }

    /// An error when it is time to close; otherwise the task is woken then.
    fn check_close(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.is_over = self.is_over || self.close.as_mut().poll(context).is_ready();
        if self.is_over {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

fn close_after(
    permit: &ConnectionPermit,
    max_age: Option<Duration>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let lost = permit.close_token().clone().cancelled_owned();
    let limited = tokio::time::timeout(max_age.unwrap_or(Duration::MAX), lost);
    // Closed in both cases.
    Box::pin(async { limited.await.unwrap_or_default() })
}

impl AsyncRead for AcceptedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_close(context)?;
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.note_received(buffer.filled().len() - before);
        // The future may have been replaced: poll it once so that it wakes this task.
        self.check_close(context)?;
        Poll::Ready(result)
    }
}

impl AsyncWrite for AcceptedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_close(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_close(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_close(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_close(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The peer of a connection; every request carries it as an extension.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    remote_address: Option<SocketAddr>,
    has_certificate: bool,
    activity: Arc<Activity>,
}

impl ConnectionInfo {
    /// Address of the peer; a proxy's if there is one in between.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.remote_address
    }

    /// Whether the client has presented a certificate of a trusted authority. With client authorities configured there
    /// is no connection without one.
    pub fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    pub(super) fn begin_call(&self) -> InFlightCall {
        InFlightCall::begin(self.activity.clone())
    }
}

impl Connected for AcceptedConnection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        let (tcp, has_certificate) = match &self.stream {
            Either::Left(tcp) => (tcp, false),
            Either::Right(tls) => {
                let (tcp, session) = tls.get_ref();
                (tcp, session.peer_certificates().is_some())
            }
        };
        ConnectionInfo {
            remote_address: tcp.peer_addr().ok(),
            has_certificate,
            activity: self.permit.activity().clone(),
        }
    }
}
