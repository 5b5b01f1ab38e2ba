//! A client's connection that cannot hold the server up.
//!
//! HTTP/2 begins with a preface. Until it has arrived the server knows nothing of the client: neither keepalive nor a
//! graceful stop reaches a connection that never speaks. This wrapper hangs up on it, and on every connection that is
//! still open when a stop may wait no longer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A client sends the preface with its first packet; this long is patience with a bad line.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);

/// Length of the preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// A connection, and when to hang up on it.
pub(super) struct Connection {
    tcp: TcpStream,
    received: usize,
    closing: CancellationToken,
    hang_up: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    /// Hangs up when the preface is late or when `closing` is cancelled.
    pub(super) fn new(tcp: TcpStream, closing: CancellationToken) -> Self {
        let closed = closing.clone().cancelled_owned();
        let hang_up = Box::pin(async {
            // Either way it is over.
            let _ = tokio::time::timeout(PREFACE_TIMEOUT, closed).await;
        });
        Self {
            tcp,
            received: 0,
            closing,
            hang_up,
        }
    }

    fn note_received(&mut self, bytes: usize) {
        let greeted_before = self.received >= PREFACE_BYTES;
        self.received = self.received.saturating_add(bytes);
        if !greeted_before && self.received >= PREFACE_BYTES {
            self.hang_up = Box::pin(self.closing.clone().cancelled_owned());
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.hang_up.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.tcp).poll_read(context, buffer));
        self.note_received(buffer.filled().len() - before);
        // The future may have been replaced: it has to be polled once to wake this task.
        if self.hang_up.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}
