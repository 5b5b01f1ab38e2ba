//! The HTTP server of the page: HTTP/1.1 over TCP, with a bound on everything that a client can take.
//!
//! | bound | why |
//! |---|---|
//! | connections, and the time that one may be idle | file descriptors |
//! | size of a body, time of a request | memory, tasks |
//! | event streams | each gets every snapshot |
//! | time that a write may stall | a client that does not read holds its buffers |
//! | Host and Origin | a page of another site must not press the switches (CSRF, DNS rebinding) |
//!
//! Reading order: `guard` (what every request must be), `json` (bodies), `streams`, `stall_timeout`, `refusal`.

mod guard;
mod json;
mod refusal;
mod stall_timeout;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use stall_timeout::StallTimeout;

pub(super) use json::Json;
pub(super) use refusal::Refusal;
pub(super) use streams::EventStreams;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrontLimits {
    /// Open connections; further ones wait in the queue of the operating system.
    pub(super) connections: usize,
    /// Time for the head of a request; an idle connection is closed after it.
    pub(super) head: Duration,
    /// Time for the body of a request and its answer, without the body of an event stream.
    pub(super) request: Duration,
    /// Bytes of a body: a command is about a hundred.
    pub(super) body: usize,
    /// Time without progress of a write.
    pub(super) stall: Duration,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            connections: 128,
            head: Duration::from_secs(20),
            request: Duration::from_secs(10),
            body: 4 << 10,
            stall: Duration::from_secs(10),
        }
    }
}

/// A bound listener that serves nobody yet.
#[derive(Debug)]
pub(super) struct Front {
    listener: TcpListener,
    address: SocketAddr,
    limits: FrontLimits,
}

impl Front {
    /// Binds an address; port 0 picks a free one.
    ///
    /// # Errors
    /// When it is taken or not of this machine.
    pub(super) async fn bind(address: SocketAddr, limits: FrontLimits) -> Result<Self> {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
                "port {} of the page is taken; choose another one with --page-port, 0 for any",
                address.port()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("the page cannot listen on {address}"));
            }
        };
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            limits,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, which also closes all connections.
    pub(super) async fn serve(self, routes: Router, stop: CancellationToken) {
        let routes = guard::around(routes, self.limits);
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.accept(&places) => {
                    if let Some((connection, place)) = accepted {
                        connections.spawn(serve(connection, routes.clone(), self.limits, place));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// `None` if the connection is gone, or if file descriptors lack for a moment.
    async fn accept(&self, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((connection, _)) => Some((connection, place)),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                None
            }
        }
    }
}

async fn serve(
    connection: TcpStream,
    routes: Router,
    limits: FrontLimits,
    _place: OwnedSemaphorePermit,
) {
    // Snapshots are small and must not wait for each other.
    let _ = connection.set_nodelay(true);
    let connection = TokioIo::new(StallTimeout::new(connection, limits.stall));
    // A client that breaks the protocol or disappears affects its own connection only.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(16 << 10)
        .serve_connection(connection, TowerToHyperService::new(routes))
        .await;
}

#[cfg(test)]
mod tests;
