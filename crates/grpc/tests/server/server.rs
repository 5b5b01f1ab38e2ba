//! A running server, and clients of it.

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
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt as _;

use crate::certificates::{Authority, HOST, Identity};
use crate::who::{Peer, Who};

/// Conditions come true within this time, or never.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(WAIT_LIMIT, wait).await;
    assert!(in_time.is_ok(), "never happened: {what}");
}

/// A server that runs until it is stopped, and its files.
pub(crate) struct RunningServer {
    pub(crate) address: SocketAddr,
    pub(crate) directory: TempDir,
    config: GrpcConfig,
    health: Health,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), GrpcError>>,
}

/// What differs between the servers of these tests.
pub(crate) struct Terms<'a> {
    pub(crate) identity: Option<Identity>,
    pub(crate) client_authority: Option<&'a Authority>,
    pub(crate) connections: usize,
    pub(crate) age: Duration,
    pub(crate) call_limit: Duration,
}

impl Default for Terms<'_> {
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

impl RunningServer {
    pub(crate) async fn start(terms: Terms<'_>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tls = terms.identity.map(|identity| ServerTlsFiles {
            identity: identity.write(directory.path(), "server"),
            client_authorities: terms
                .client_authority
                .map(|authority| authority.write(directory.path(), "clients")),
        });
        let mut config = GrpcConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            call_limit: terms.call_limit,
            concurrency: 1_000,
            has_reflection: false,
            connections: terms.connections,
            connection_age: ConnectionAge::new(terms.age),
            tls,
        };
        let server = GrpcServer::bind(&config, "tests").await.unwrap();
        let address = server.local_addr();
        config.listen = address;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let health = Health::starting().await;
        let shown = health.clone();
        let serving = tokio::spawn(async move {
            let descriptors = tonic_health::pb::FILE_DESCRIPTOR_SET;
            server
                .serve(Routes::new(Who), descriptors, &shown, stopped)
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

    /// A server with TLS and this identity.
    pub(crate) async fn start_with(identity: Identity) -> Self {
        Self::start(Terms {
            identity: Some(identity),
            ..Terms::default()
        })
        .await
    }

    /// Says that it is ready.
    pub(crate) async fn become_ready(&self) {
        self.health.set_ready(true).await;
    }

    /// What a probe beside it finds.
    pub(crate) async fn probe(&self) -> Result<(), ProbeError> {
        grpc::probe::ask(&self.config).await
    }

    /// Connects and calls without TLS.
    pub(crate) async fn call_plain(&self) -> Result<Client, Failure> {
        self.call(Connector::plain()).await
    }

    /// Connects and calls, believing this authority and showing this certificate.
    pub(crate) async fn call_tls(
        &self,
        authority: &Authority,
        identity: Option<Identity>,
    ) -> Result<Client, Failure> {
        self.call(connector(authority, identity, HOST)).await
    }

    /// Connects, and makes one call to see that it works.
    pub(crate) async fn call(&self, connector: Connector) -> Result<Client, Failure> {
        let mut client = self.connect(connector).await?;
        client.check().await?;
        Ok(client)
    }

    /// Connects.
    pub(crate) async fn connect(&self, connector: Connector) -> Result<Client, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let connects = Arc::new(AtomicUsize::new(0));
        let counter = connects.clone();
        let counted = connector.map_request(move |uri: Uri| {
            counter.fetch_add(1, Ordering::Relaxed);
            uri
        });
        let channel = endpoint.connect_with_connector(counted).await?;
        Ok(Client {
            health: HealthClient::new(channel.clone()),
            channel,
            connects,
        })
    }

    /// Stops in good order.
    pub(crate) async fn stop(self) {
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

/// Why a client gets no answer, its causes included.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl From<tonic::transport::Error> for Failure {
    fn from(error: tonic::transport::Error) -> Self {
        Self(service::error_chain::ErrorChain(&error).to_string())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(service::error_chain::ErrorChain(&status).to_string())
    }
}

/// A client that has a connection. Losing it, it makes another one with its next call.
#[derive(Debug)]
pub(crate) struct Client {
    channel: Channel,
    health: HealthClient<Channel>,
    connects: Arc<AtomicUsize>,
}

impl Client {
    /// A call that is answered at once.
    pub(crate) async fn check(&mut self) -> Result<(), Status> {
        let request = HealthCheckRequest::default();
        self.health.check(request).await.map(drop)
    }

    /// Sends a request as it is, and returns what comes back.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        Ok(self.channel.clone().oneshot(request).await?)
    }

    /// What the server knows of this client.
    pub(crate) async fn ask_who_i_am(&self) -> Peer {
        Peer::ask(self.channel.clone()).await
    }

    /// How many connections it has made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connects.load(Ordering::Relaxed)
    }

    /// A call that stays in work, whose first answer has come.
    pub(crate) async fn watch(&mut self) -> Streaming<HealthCheckResponse> {
        let request = HealthCheckRequest::default();
        let mut answers = self.health.watch(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap();
        answers
    }
}
