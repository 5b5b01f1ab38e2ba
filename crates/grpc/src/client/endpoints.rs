//! Connections to the replicas: one HTTP/2 connection each, opened lazily, kept alive and shared by all calls.
//!
//! The [`Pool`] picks the replica of a call; [`Discovery`](super::discovery::Discovery) updates the pool. The
//! connection of a removed replica closes when its in-flight calls have ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::pool::{AttemptVerdict, Change, Peer, Pool};

/// Replicas are in the same network: a connection that takes longer will not succeed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection without traffic is pinged at this interval, also when idle: a dead connection must be found before the
/// next call. Ten seconds is the minimum that gRPC allows a client (gRFC A8).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Without a ping acknowledgement in this time the connection is closed and its calls fail.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

type Open = Box<dyn Fn(&Peer) -> Channel + Send + Sync>;

/// The replicas.
pub(super) struct Endpoints {
    /// Its name, for logs.
    pub(super) dependency: &'static str,
    open: Open,
    pool: Mutex<Pool<Channel>>,
    /// Notified when a connection has failed or there is no replica.
    pub(super) lookup_request: Notify,
    /// Whether the first lookup has ended, with or without success.
    pub(super) looked_up: watch::Sender<bool>,
    ejections: AtomicU64,
}

impl Endpoints {
    /// Without replicas. `open` makes a channel that connects lazily.
    pub(super) fn new(dependency: &'static str, open: Open) -> Arc<Self> {
        Arc::new(Self {
            dependency,
            open,
            pool: Mutex::new(Pool::new(rand::random::<u16>().into())),
            lookup_request: Notify::new(),
            looked_up: watch::Sender::new(false),
            ejections: AtomicU64::new(0),
        })
    }

    /// The replica for the next call, preferably not `avoid`. Waits for the first lookup; `None` if there is no replica
    /// after it.
    pub(super) async fn pick(self: &Arc<Self>, avoid: Option<&Peer>) -> Option<PickedEndpoint> {
        if self.lock().is_empty() {
            let mut looked_up = self.looked_up.subscribe();
            // Fails only when all endpoints are dropped, and these are not.
            let _ = looked_up.wait_for(|looked_up| *looked_up).await;
        }
        let picked = self.lock().pick(Instant::now(), avoid);
        let Some((peer, channel)) = picked else {
            self.lookup_request.notify_one();
            return None;
        };
        Some(PickedEndpoint {
            endpoints: Arc::clone(self),
            peer,
            channel,
            is_used: false,
        })
    }

    /// Replaces the replicas.
    pub(super) fn replace(&self, peers: &[Peer]) {
        let changes = self.lock().replace(peers, &self.open);
        changes.iter().for_each(|change| self.log_change(change));
    }

    /// Replicas in use, ejected replicas, and the total of ejections.
    pub(super) fn count(&self) -> (usize, usize, u64) {
        let (in_use, ejected) = self.lock().count();
        (in_use, ejected, self.ejections.load(Ordering::Relaxed))
    }

    fn report(&self, peer: &Peer, verdict: AttemptVerdict) {
        let change = self.lock().report(peer, verdict, Instant::now());
        if let Some(change) = change {
            self.log_change(&change);
        }
    }

    fn log_change(&self, change: &Change) {
        let dependency = self.dependency;
        match change {
            Change::Added(endpoint) => tracing::info!(dependency, %endpoint, "endpoint added"),
            Change::Removed(endpoint) => tracing::info!(dependency, %endpoint, "endpoint removed"),
            Change::Readmitted(endpoint) => {
                tracing::info!(dependency, %endpoint, "endpoint readmitted");
            }
            Change::Ejected(endpoint, time) => {
                self.ejections.fetch_add(1, Ordering::Relaxed);
                let seconds = time.as_secs_f64();
                tracing::warn!(dependency, %endpoint, seconds, "endpoint ejected");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool<Channel>> {
        // No code under the lock panics half way.
        (self.pool.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt on one replica. Dropping it without a report means that the caller abandoned the call.
pub(super) struct PickedEndpoint {
    endpoints: Arc<Endpoints>,
    peer: Peer,
    pub(super) channel: Channel,
    is_used: bool,
}

impl PickedEndpoint {
    /// Reports the end of the attempt; returns its replica.
    pub(super) fn report(mut self, verdict: AttemptVerdict, is_connected: bool) -> Peer {
        self.is_used = true;
        self.endpoints.report(&self.peer, verdict);
        if !is_connected {
            self.endpoints.lookup_request.notify_one();
        }
        self.peer.clone()
    }
}

impl Drop for PickedEndpoint {
    fn drop(&mut self) {
        if !self.is_used {
            self.endpoints.report(&self.peer, AttemptVerdict::Unknown);
        }
    }
}

/// Connects to the IP address; the requests name the host. TLS is the connector's concern: tonic sees the scheme
/// `http`, the server sees that of the address.
pub(super) fn endpoint(peer: &Peer) -> Endpoint {
    let uri = Uri::builder()
        .scheme("http")
        .authority(peer.socket.to_string())
        .path_and_query("/")
        .build()
        // An IP address with a port is a valid authority.
        .unwrap_or_default();
    Endpoint::from(uri)
        .origin(peer.address.origin().clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}
