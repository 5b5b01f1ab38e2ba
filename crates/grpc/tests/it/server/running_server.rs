//! A running server and its clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grpc::health::Health;
use grpc::probe::ProbeError;
use grpc::server::{ConnectionAge, GrpcConfig, GrpcError, GrpcServer};
use grpc::tls::{ClientTls, ClientTlsFiles, Connector, ServerTlsFiles};
use http::{Request, Response, Uri};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt as _;

use crate::server::certificates::{Authority, HOST, Identity};
use crate::server::peer_service::{PeerInfo, PeerService};

/// The name of a service of the API.
pub(crate) const OWN_SERVICE: &str = "tests.v1.OwnService";

/// Fails a test that hangs.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A server that runs until it is stopped, and its files.
pub(crate) struct RunningServer {
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    config: GrpcConfig,
    health: Health,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), GrpcError>>,
}

pub(crate) struct ServerOptions<'a> {
    pub(crate) identity: Option<Identity>,
    pub(crate) client_authority: Option<&'a Authority>,
    pub(crate) connections: usize,
    pub(crate) age: Duration,
    pub(crate) call_limit: Duration,
}

impl Default for ServerOptions<'_> {
    fn default() -> Self {
        Self {
            identity: None,
            client_authority: None,
            connections: 100,
            age: Duration::ZERO,
            call_limit: WAIT_LIMIT,
        }
    }
}

/// Calls in flight.
pub(crate) const CONCURRENCY: usize = 1_000;

impl RunningServer {
    pub(crate) async fn start(options: ServerOptions<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tls = options.identity.map(|identity| ServerTlsFiles {
            identity: identity.write(directory.path(), "server"),
            client_authorities: options
                .client_authority
                .map(|authority| authority.write(directory.path(), "clients")),
        });
        let mut config = GrpcConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            call_limit: options.call_limit,
            concurrency: CONCURRENCY,
            has_reflection: true,
            connections: options.connections,
            connection_age: ConnectionAge::new(options.age),
            tls,
        };
        let server = GrpcServer::bind(&config, "tests").await.unwrap();
        let address = server.local_addr();
        config.listen = address;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let health = Health::starting(&[OWN_SERVICE]);
        let shown = health.clone();
        let serving = tokio::spawn(async move {
            let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
            server
                .serve(Routes::new(PeerService), descriptors, &shown, stopped)
                .await
        });
        Self {
            address,
            directory,
            config,
            health,
            stop,
            serving,
        }
    }

    /// With TLS.
    pub(crate) async fn start_with(identity: Identity) -> Self {
        Self::start(ServerOptions {
            identity: Some(identity),
            ..ServerOptions::default()
        })
        .await
    }

    pub(crate) fn become_ready(&self) {
        self.health.set_ready(true);
    }

    pub(crate) async fn probe(&self) -> Result<(), ProbeError> {
        grpc::probe::ask(&self.config).await
    }

    /// Connects and calls without TLS.
    pub(crate) async fn call_plain(&self) -> Result<ConnectedClient, CallError> {
        self.call(Connector::plain()).await
    }

    /// Connects and calls with TLS, trusting this authority and presenting this certificate.
    pub(crate) async fn call_tls(
        &self,
        authority: &Authority,
        identity: Option<Identity>,
    ) -> Result<ConnectedClient, CallError> {
        self.call(connector(authority, identity, HOST)).await
    }

    /// Connects and makes one call.
    pub(crate) async fn call(&self, connector: Connector) -> Result<ConnectedClient, CallError> {
        let mut client = self.connect(connector).await?;
        client.check().await?;
        Ok(client)
    }

    pub(crate) async fn connect(&self, connector: Connector) -> Result<ConnectedClient, CallError> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let connects = Arc::new(AtomicUsize::new(0));
        let counter = connects.clone();
        let counted = connector.map_request(move |uri: Uri| {
            counter.fetch_add(1, Ordering::Relaxed);
            uri
        });
        let channel = endpoint.connect_with_connector(counted).await?;
        Ok(ConnectedClient {
            health: HealthClient::new(channel.clone()),
            channel,
            connects,
        })
    }

    /// Graceful stop: not ready first, as a service does it.
    pub(crate) async fn stop(self) {
        self.health.set_ready(false);
        self.stop.cancel();
        let stopped = tokio::time::timeout(WAIT_LIMIT, self.serving).await;
        stopped.expect("the server stops").unwrap().unwrap();
    }
}

pub(crate) fn connector(
    authority: &Authority,
    identity: Option<Identity>,
    host: &str,
) -> Connector {
    let directory = tempfile::tempdir().unwrap();
    let files = ClientTlsFiles {
        authorities: authority.write(directory.path(), "server"),
        identity: identity.map(|identity| identity.write(directory.path(), "client")),
    };
    Connector::tls(ClientTls::load(&files).unwrap(), host).unwrap()
}

/// The error of a client with its causes.
#[derive(Debug)]
pub(crate) struct CallError(pub(crate) String);

impl From<tonic::transport::Error> for CallError {
    fn from(error: tonic::transport::Error) -> Self {
        Self(service::error_chain::ErrorChain(&error).to_string())
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self(service::error_chain::ErrorChain(&status).to_string())
    }
}

/// A connected client; reconnects with the next call after a loss.
#[derive(Debug)]
pub(crate) struct ConnectedClient {
    channel: Channel,
    health: HealthClient<Channel>,
    connects: Arc<AtomicUsize>,
}

impl ConnectedClient {
    /// A health check.
    pub(crate) async fn check(&mut self) -> Result<(), Status> {
        let request = HealthCheckRequest::default();
        self.health.check(request).await.map(drop)
    }

    /// Sends a raw request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        Ok(self.channel.clone().oneshot(request).await?)
    }

    pub(crate) async fn peer_info(&self) -> PeerInfo {
        PeerInfo::ask(self.channel.clone()).await
    }

    /// Number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connects.load(Ordering::Relaxed)
    }

    /// A stream that stays open, after its first response.
    pub(crate) async fn watch(&mut self) -> Streaming<HealthCheckResponse> {
        let mut answers = self.watch_service("").await;
        answers.message().await.unwrap().unwrap();
        answers
    }

    /// A watch of the health of this service.
    pub(crate) async fn watch_service(&mut self, name: &str) -> Streaming<HealthCheckResponse> {
        let service = name.to_owned();
        let watch = self.health.watch(HealthCheckRequest { service }).await;
        watch.unwrap().into_inner()
    }

    /// The health of this service.
    pub(crate) async fn check_service(&mut self, name: &str) -> Result<ServingStatus, Status> {
        let service = name.to_owned();
        let checked = self.health.check(HealthCheckRequest { service }).await?;
        Ok(checked.into_inner().status())
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
