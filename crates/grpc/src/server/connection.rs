//! A client's connection that cannot hold the server up.
//!
//! HTTP/2 begins with a preface. Until it has arrived the server knows nothing of the client: neither keepalive nor a
//! graceful stop reaches a connection that never speaks. This wrapper hangs up on it, and on every connection that has
//! lost its seat, is too old, or is still open when a stop may wait no longer. It does so whether the connection waits
//! to read or to write: a client that asks and never takes the answers keeps the server from reading.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use super::connections::{Activity, CallInWork, Seat};
use crate::tls::MaybeTlsStream;

/// A client sends the preface with its first packet; this long is patience with a bad line.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Length of the preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// A connection, and when to hang up on it.
pub(super) struct Connection {
    stream: MaybeTlsStream,
    seat: Seat,
    longest: Option<Duration>,
    received: usize,
    hang_up: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("seat", &self.seat)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Hangs up when the preface is late, after the `longest` time, or when the seat is lost.
    pub(super) fn new(stream: MaybeTlsStream, seat: Seat, longest: Option<Duration>) -> Self {
        let hang_up = hang_up_after(&seat, Some(PREFACE_TIMEOUT));
        Self {
            stream,
            seat,
            longest,
            received: 0,
            hang_up,
            is_over: false,
        }
    }

    fn note_received(&mut self, bytes: usize) {
        let greeted_before = self.received >= PREFACE_BYTES;
        self.received = self.received.saturating_add(bytes);
        if !greeted_before && self.received >= PREFACE_BYTES {
            self.hang_up = hang_up_after(&self.seat, self.longest);
        }
    }

    /// An error if it is time to hang up; else the task is woken when it is.
    fn check_hang_up(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.is_over = self.is_over || self.hang_up.as_mut().poll(context).is_ready();
        if self.is_over {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

fn hang_up_after(
    seat: &Seat,
    longest: Option<Duration>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let lost = seat.hang_up().clone().cancelled_owned();
    match longest {
        None => Box::pin(lost),
        Some(longest) => {
            let limited = tokio::time::timeout(longest, lost);
            // Either way it is over.
            Box::pin(async { limited.await.unwrap_or_default() })
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_hang_up(context)?;
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.note_received(buffer.filled().len() - before);
        // The future may have been replaced: it has to be polled once to wake this task.
        self.check_hang_up(context)?;
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_hang_up(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_hang_up(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_hang_up(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_hang_up(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Who is at the other end; every request carries it as an extension.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    remote_address: Option<SocketAddr>,
    has_certificate: bool,
    activity: Arc<Activity>,
}

impl ConnectionInfo {
    /// Where the connection comes from; a proxy's address if there is one in between.
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.remote_address
    }

    /// Whether the client has shown a certificate of an authority that the server trusts. With such authorities
    /// configured there is no connection without one.
    pub fn has_certificate(&self) -> bool {
        self.has_certificate
    }

    pub(super) fn begin_call(&self) -> CallInWork {
        CallInWork::begin(self.activity.clone())
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        ConnectionInfo {
            remote_address: self.stream.remote_address(),
            has_certificate: self.stream.has_peer_certificate(),
            activity: self.seat.activity().clone(),
        }
    }
}
