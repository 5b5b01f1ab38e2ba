//! A client with a scripted resolver, fast thresholds, and connections that can be closed and counted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use grpc::client::{Addresses, BreakerRules, Dependency, Resolve, ServiceClient, ServiceConfig};
use grpc::tls::Connector;
use service::backoff::Backoff;
use service::config::FromSetting;
use service::deadline::Deadline;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Deadline of calls in tests of other things.
const AMPLE: Duration = Duration::from_secs(10);

pub(crate) const CALLER: &str = "caller";

/// Three attempts with a short backoff; no retry budget.
pub(crate) const RETRYING: &str = r#"{"methodConfig": [{
    "name": [{"service": "grpc.health.v1.Health"}],
    "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.02s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
    }
}]}"#;

/// No retries.
pub(crate) const PLAIN: &str = "{}";

/// A breaker that never opens in tests of other things.
pub(crate) const LENIENT: BreakerRules = BreakerRules {
    least_calls: u32::MAX,
    failure_share: 1.0,
    slow_call: Duration::from_secs(60),
    slow_share: 1.0,
    open_for: Backoff {
        initial: Duration::from_secs(1),
        cap: Duration::from_secs(1),
    },
    probes: 1,
};

/// A client with its discovery.
pub(crate) struct TestClient {
    client: ServiceClient,
    names: Arc<Mutex<Vec<SocketAddr>>>,
    connections: Arc<AtomicUsize>,
    lookups: Arc<AtomicUsize>,
    _discovery: DropGuard,
}

impl TestClient {
    /// Over `http`.
    pub(crate) fn new(
        service_config: &str,
        breaker: BreakerRules,
        replicas: &[SocketAddr],
    ) -> Self {
        Self::at("http://dependency:1", service_config, breaker, replicas)
    }

    pub(crate) fn at(
        address: &str,
        service_config: &str,
        breaker: BreakerRules,
        replicas: &[SocketAddr],
    ) -> Self {
        let dependency = Dependency {
            name: "dependency",
            caller: CALLER,
            service_config: ServiceConfig::parse(service_config).unwrap(),
            breaker,
        };
        let addresses = Addresses::from_setting(address).unwrap();
        let names = Arc::new(Mutex::new(replicas.to_vec()));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (client, discovery) = ServiceClient::new(&addresses, dependency, move |_| {
            let (mut connector, counted) = (Connector::plain(), Arc::clone(&counted));
            tower::service_fn(move |uri| {
                counted.fetch_add(1, Ordering::Relaxed);
                tower::Service::call(&mut connector, uri)
            })
        });
        let shutdown = CancellationToken::new();
        let lookups = Arc::new(AtomicUsize::new(0));
        let resolver = resolver(Arc::clone(&names), Arc::clone(&lookups));
        let discovery = discovery.with_resolver(resolver);
        tokio::spawn(discovery.run(shutdown.clone()));
        Self {
            client,
            names,
            connections,
            lookups,
            _discovery: shutdown.drop_guard(),
        }
    }

    /// Changes the answer of the resolver.
    pub(crate) fn resolves_to(&self, replicas: &[SocketAddr]) {
        *self.names.lock().unwrap() = replicas.to_vec();
    }

    /// Number of connections that were begun.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn observe(&self) {
        self.client.observe();
    }

    /// Number of lookups.
    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }

    pub(crate) async fn call(&self) -> Result<(), Status> {
        self.call_within(AMPLE).await
    }

    pub(crate) async fn call_within(&self, limit: Duration) -> Result<(), Status> {
        let mut request = Request::new(HealthCheckRequest::default());
        request.extensions_mut().insert(Deadline::within(limit));
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<HealthCheckRequest>) -> Result<(), Status> {
        let mut health = HealthClient::new(self.client.clone());
        health.check(request).await.map(|_| ())
    }
}

fn resolver(names: Arc<Mutex<Vec<SocketAddr>>>, lookups: Arc<AtomicUsize>) -> Resolve {
    Arc::new(move |_| {
        lookups.fetch_add(1, Ordering::Relaxed);
        let found = names.lock().unwrap().clone();
        Box::pin(std::future::ready(Ok(found)))
    })
}

/// A port without a listener.
pub(crate) async fn closed_port() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A connection that is closed when its server is killed.
pub(crate) struct Severable {
    tcp: TcpStream,
    severed: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Severable {
    pub(crate) fn new(tcp: TcpStream, severed: CancellationToken) -> Self {
        let severed = Box::pin(severed.cancelled_owned());
        Self { tcp, severed }
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.severed.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connected for Severable {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}
