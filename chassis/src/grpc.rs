//! The gRPC server: one place for limits, health, reflection and the span of each call.

use std::net::SocketAddr;
use std::time::Duration;

use futures::TryStreamExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::util::option_layer;

use crate::auth::AuthLayer;
use crate::config::Settings;
use crate::health::Health;
use crate::propagation;

mod connection;
pub mod refusal;

use connection::Connection;

/// A connection that says nothing for this long is asked whether it is still there, and dropped if it does not answer
/// within [`KEEPALIVE_TIMEOUT`]: a half-open connection must not hold a stream for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// No call may take longer to begin its answer, whatever deadline the client brings or forgets.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// How long calls in work may take to finish when the server stops. Then every connection is closed, also those whose
/// clients never spoke; a call that was cut off is repeated by its client.
const DRAIN: Duration = Duration::from_secs(5);

/// Calls and streams per connection. Streams are cheap and a client watches many orders over one connection.
const MAX_STREAMS: u32 = 4_096;

/// Metadata of a call: ten times what tracing and authentication need.
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// Where the server listens.
#[derive(Clone, Copy, Debug)]
pub struct GrpcConfig {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
}

impl GrpcConfig {
    /// Reads the settings; each service has a default port of its own.
    pub fn read(settings: &mut Settings<'_>, default_listen: &'static str) -> Self {
        Self {
            listen: settings.value(
                "GRPC_LISTEN",
                default_listen,
                "address and port of the gRPC server; loopback unless set, port 0 lets the system choose",
            ),
        }
    }
}

/// A server that has its port and does not serve yet.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    authentication: Option<AuthLayer>,
}

/// Why the server could not be set up or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The port is taken or not allowed.
    #[error("listening on {listen}")]
    Bind {
        /// The address that was asked for.
        listen: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The descriptors that reflection should serve are damaged.
    #[error("setting up server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server failed while serving.
    #[error("serving gRPC")]
    Serve(#[from] tonic::transport::Error),
}

impl GrpcServer {
    /// Takes the port.
    pub async fn bind(config: &GrpcConfig) -> Result<Self, GrpcError> {
        let bind_error = |source| GrpcError::Bind {
            listen: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(bind_error)?;
        let local_addr = listener.local_addr().map_err(bind_error)?;
        Ok(Self {
            listener,
            local_addr,
            authentication: None,
        })
    }

    /// Lets its services know their callers.
    #[must_use]
    pub fn authenticated(mut self, layer: AuthLayer) -> Self {
        self.authentication = Some(layer);
        self
    }

    /// The address with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the routes, health and reflection until `shutdown`, then lets the calls in work finish.
    pub async fn serve(
        self,
        routes: Routes,
        descriptors: &'static [u8],
        health: &Health,
        shutdown: CancellationToken,
    ) -> Result<(), GrpcError> {
        let routes = with_reflection(routes, descriptors)?.add_service(health_service(health));
        let closing = CancellationToken::new();
        let connections = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let incoming = connections.map_ok(|tcp| Connection::new(tcp, closing.clone()));
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(Some(MAX_STREAMS))
            .http2_max_header_list_size(Some(MAX_HEADER_LIST))
            .timeout(CALL_TIMEOUT)
            .trace_fn(|request| propagation::server_span(request.uri().path(), request.headers()))
            .layer(option_layer(self.authentication))
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
        let close_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
            closing.cancel();
        };
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return Ok(served?),
            () = close_late => {}
        }
        Ok(serving.await?)
    }
}

fn health_service(health: &Health) -> HealthServer<HealthService> {
    HealthServer::new(HealthService::from_health_reporter(health.reporter()))
}

/// Reflection in the current version, and in the one that older tools still ask for.
fn with_reflection(
    routes: Routes,
    descriptors: &'static [u8],
) -> Result<Routes, tonic_reflection::server::Error> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let current = builder().build_v1()?;
    let older = builder().build_v1alpha()?;
    Ok(routes.add_service(current).add_service(older))
}
