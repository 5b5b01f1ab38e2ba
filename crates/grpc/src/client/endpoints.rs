//! The replicas of a service as connections: one lazily opened HTTP/2 connection to each, kept alive and shared by all
//! calls.
//!
//! Who is called decides the [`Pool`]; [`Discovery`](super::Discovery) keeps it up to date. A replica that is gone loses
//! its connection when the calls on it have ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tonic::codegen::StdError;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::address::Address;
use super::pool::{Change, Peer, Pool, Verdict};

/// A connection that cannot be made in this time, in the same network, will not be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that says nothing for this long is asked whether it is still there, also while no call is on it: the next
/// call must not be the one to find out. Ten seconds are the least that gRPC allows a client (gRFC A8).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Who does not answer in this time is gone, and the calls on the connection fail.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens the connection to a replica.
type Open = Box<dyn Fn(&Peer) -> Channel + Send + Sync>;

/// The replicas; clones share them.
#[derive(Clone)]
pub(super) struct Endpoints {
    shared: Arc<Shared>,
}

struct Shared {
    dependency: &'static str,
    open: Open,
    pool: Mutex<Pool<Channel>>,
    /// Somebody has found a replica gone, or has found none.
    is_suspicious: Notify,
    /// Whether the names have been looked up once, successfully or not.
    has_looked: watch::Sender<bool>,
    ejections: AtomicU64,
}

impl Endpoints {
    /// None yet. `connect` makes the connector for an address: a service from the URI of the IP address to a connection.
    pub(super) fn new<C, I>(
        dependency: &'static str,
        connect: impl Fn(&Address) -> C + Send + Sync + 'static,
    ) -> Self
    where
        C: Service<Uri, Response = TokioIo<I>> + Send + 'static,
        C::Future: Send,
        StdError: From<C::Error>,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let open =
            move |peer: &Peer| endpoint(peer).connect_with_connector_lazy(connect(&peer.address));
        let shared = Shared {
            dependency,
            open: Box::new(open),
            pool: Mutex::new(Pool::new(rand::random::<u16>().into())),
            is_suspicious: Notify::new(),
            has_looked: watch::Sender::new(false),
            ejections: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        Self { shared }
    }

    /// The replica that gets the next call, rather not the one to `avoid`. Waits for the first lookup of the names;
    /// `None` if there is no replica after it.
    pub(super) async fn pick(&self, avoid: Option<&Peer>) -> Option<Ticket> {
        if self.lock().is_empty() {
            let mut has_looked = self.shared.has_looked.subscribe();
            // Fails only when all endpoints are gone, and these are not.
            let _ = has_looked.wait_for(|has_looked| *has_looked).await;
        }
        let picked = self.lock().pick(Instant::now(), avoid);
        let Some((peer, channel)) = picked else {
            self.suspect();
            return None;
        };
        Some(Ticket {
            endpoints: self.clone(),
            peer,
            channel,
            is_used: false,
        })
    }

    /// From now on these are the replicas.
    pub(super) fn replace(&self, peers: &[Peer]) {
        let changes = self.lock().replace(peers, &self.shared.open);
        changes.iter().for_each(|change| self.tell(change));
    }

    /// The names have been looked up.
    pub(super) fn have_looked(&self) {
        self.shared.has_looked.send_replace(true);
    }

    /// Waits until the names should be looked up before their time.
    pub(super) async fn suspicion(&self) {
        self.shared.is_suspicious.notified().await;
    }

    /// How many replicas are in use, how many are ejected, and how often one was.
    pub(super) fn count(&self) -> (usize, usize, u64) {
        let (in_use, ejected) = self.lock().count();
        (
            in_use,
            ejected,
            self.shared.ejections.load(Ordering::Relaxed),
        )
    }

    pub(super) fn dependency(&self) -> &'static str {
        self.shared.dependency
    }

    fn suspect(&self) {
        self.shared.is_suspicious.notify_one();
    }

    fn report(&self, peer: &Peer, verdict: Verdict) {
        let change = self.lock().report(peer, verdict, Instant::now());
        if let Some(change) = change {
            self.tell(&change);
        }
    }

    fn tell(&self, change: &Change) {
        let dependency = self.shared.dependency;
        match change {
            Change::Added(endpoint) => tracing::info!(dependency, %endpoint, "endpoint added"),
            Change::Removed(endpoint) => tracing::info!(dependency, %endpoint, "endpoint removed"),
            Change::TakenBack(endpoint) => {
                tracing::info!(dependency, %endpoint, "endpoint taken back");
            }
            Change::Ejected(endpoint, time) => {
                self.shared.ejections.fetch_add(1, Ordering::Relaxed);
                let seconds = time.as_secs_f64();
                tracing::warn!(dependency, %endpoint, seconds, "endpoint ejected");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool<Channel>> {
        // No code under the lock panics half way.
        (self.shared.pool.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt on one replica. Dropped without a report it means that the caller gave up.
pub(super) struct Ticket {
    endpoints: Endpoints,
    peer: Peer,
    /// What the call is made on.
    pub(super) channel: Channel,
    is_used: bool,
}

impl Ticket {
    /// The attempt has ended; returns whose it was.
    pub(super) fn report(mut self, verdict: Verdict, is_connected: bool) -> Peer {
        self.is_used = true;
        self.endpoints.report(&self.peer, verdict);
        if !is_connected {
            self.endpoints.suspect();
        }
        self.peer.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_used {
            self.endpoints.report(&self.peer, Verdict::Unknown);
        }
    }
}

/// A replica is called by its IP address, and the requests name the host. Whether TLS is spoken is the connector's matter:
/// the scheme that tonic sees is `http`, the one that the server sees is the address's own.
fn endpoint(peer: &Peer) -> Endpoint {
    let uri = Uri::builder()
        .scheme("http")
        .authority(peer.socket.to_string())
        .path_and_query("/")
        .build()
        // An IP address and a port are an authority.
        .unwrap_or_default();
    Endpoint::from(uri)
        .origin(peer.address.origin().clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

/// The connector for plain TCP.
pub fn tcp(
    _: &Address,
) -> impl Service<
    Uri,
    Response = TokioIo<TcpStream>,
    Error = std::io::Error,
    Future = impl Future<Output = std::io::Result<TokioIo<TcpStream>>> + Send + use<>,
> + Send
+ use<> {
    tower::service_fn(|uri: Uri| async move {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or_default();
        let stream = TcpStream::connect((host, port)).await?;
        // A small request must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    })
}
