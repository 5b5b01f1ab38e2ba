//! The gRPC server: one place for limits, health, reflection and what is seen of each call.
//!
//! A connection has a seat, and TLS where that is configured ([`accept`]). Every call on it passes these layers:
//!
//! ```text
//! telemetry: its span and how long it takes
//!   ─▶ connection_activity: which connections are at work
//!        ─▶ errors: none leaves without an ErrorInfo
//!             ─▶ overload: refused at once when enough is in work
//!                  ─▶ deadlines: a moment by which it must be answered
//!                       ─▶ auth: who calls
//!                            ─▶ the method
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use service::command_line::ExitError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::util::option_layer;

use crate::auth::AuthLayer;
use crate::health::Health;
use crate::tls::{ServerTls, TlsError};

mod config;

mod accept;
mod age;
mod connection;
mod connections;
mod descriptors;
mod handshakes;

mod connection_activity;
mod deadlines;
pub mod errors;
mod held_body;
mod instrumentation;
mod methods;
mod overload;
pub mod status_code;

pub mod refusal;
mod respond;
pub mod shed;
pub mod violations;

pub use age::ConnectionAge;
pub use config::GrpcConfig;
pub use connection::ConnectionInfo;
pub use connections::Connections;

use connection_activity::ConnectionActivityLayer;
use deadlines::DeadlineLayer;
use errors::ErrorLayer;
use instrumentation::CallTelemetryLayer;
use methods::Methods;
use overload::OverloadLayer;

/// A connection that says nothing for this long is asked whether it is still there, and dropped if it does not answer
/// within [`KEEPALIVE_TIMEOUT`]: a half-open connection must not hold a stream for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls in work may take to finish when the server stops. Then every connection is closed, also those whose
/// clients never spoke; a call that was cut off is repeated by its client.
const DRAIN: Duration = Duration::from_secs(5);

/// Calls and streams per connection. Streams are cheap and a client watches many orders over one connection.
const MAX_STREAMS: u32 = 4_096;

/// Metadata of a call: ten times what tracing and authentication need.
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// Bytes of requests that a client may send to one connection, and to one call of it, before anybody takes them: so much
/// memory a connection can cost without a call in work. hyper's default of 1 MiB would be 4 GiB for 4,096 connections; a
/// quarter of it still carries 50 MB/s over a round trip of 5 ms. One call's window is the protocol's own default (RFC
/// 9113, section 6.9.2), several times the largest order.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 65_535;

/// A server that has its port and does not serve yet.
#[derive(Debug)]
pub struct GrpcServer {
    config: GrpcConfig,
    /// The service's name, in which errors speak.
    service: &'static str,
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: Option<ServerTls>,
    connections: Connections,
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
    /// The certificates cannot be used.
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    /// The descriptors that reflection should serve are damaged.
    #[error("setting up server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The descriptors of the methods are damaged.
    #[error("reading the descriptors of the service")]
    Descriptors(#[from] prost::DecodeError),
    /// The server failed while serving.
    #[error("serving gRPC")]
    Serve(#[from] tonic::transport::Error),
}

impl From<GrpcError> for ExitError {
    fn from(error: GrpcError) -> Self {
        Self::failed(error)
    }
}

impl GrpcServer {
    /// Loads the certificates and takes the port, for the service of this name.
    pub async fn bind(config: &GrpcConfig, service: &'static str) -> Result<Self, GrpcError> {
        let bind_error = |source| GrpcError::Bind {
            listen: config.listen,
            source,
        };
        let tls = config.tls.as_ref().map(ServerTls::load).transpose()?;
        let listener = TcpListener::bind(config.listen).await.map_err(bind_error)?;
        let local_addr = listener.local_addr().map_err(bind_error)?;
        Ok(Self {
            service,
            listener,
            local_addr,
            tls,
            connections: Connections::new(descriptors::affordable(config.connections)),
            authentication: None,
            config: config.clone(),
        })
    }

    /// Lets its services know their callers.
    #[must_use]
    pub fn authenticated(mut self, layer: AuthLayer) -> Self {
        self.authentication = Some(layer);
        self
    }

    /// The connections, to be observed.
    pub fn connections(&self) -> &Connections {
        &self.connections
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
        let methods = methods(descriptors)?;
        let overload = OverloadLayer::new(self.service, self.config.concurrency, methods.clone());
        let deadlines = DeadlineLayer {
            service: self.service,
            unary_limit: self.config.call_limit,
            methods: methods.clone(),
        };
        let routes = self.routes(routes, descriptors)?;
        let routes = routes.add_service(health_service(health));
        let closing = CancellationToken::new();
        let terms = accept::Terms {
            tls: self.tls,
            connections: self.connections,
            closing: closing.clone(),
            longest: self.config.connection_age.hang_up(),
        };
        let serving = limited_server(self.config.connection_age)
            .layer(CallTelemetryLayer::new(methods.clone()))
            .layer(ConnectionActivityLayer)
            .layer(ErrorLayer {
                service: self.service,
            })
            .layer(overload)
            .layer(deadlines)
            .layer(option_layer(self.authentication))
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                accept::incoming(self.listener, terms),
                shutdown.clone().cancelled_owned(),
            );
        Ok(close_late(serving, shutdown, closing).await?)
    }

    fn routes(
        &self,
        routes: Routes,
        descriptors: &'static [u8],
    ) -> Result<Routes, tonic_reflection::server::Error> {
        if self.config.has_reflection {
            return with_reflection(routes, descriptors);
        }
        Ok(routes)
    }
}

/// Serves; some time after the stop has begun, what is still open is closed.
async fn close_late<E>(
    serving: impl Future<Output = Result<(), E>>,
    shutdown: CancellationToken,
    closing: CancellationToken,
) -> Result<(), E> {
    let retry_policy = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        () = retry_policy => closing.cancel(),
    }
    serving.await
}

/// What one connection may ask of the server.
fn limited_server(age: ConnectionAge) -> Server {
    age.server()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .http2_max_header_list_size(Some(MAX_HEADER_LIST))
}

/// All methods that the server may offer.
fn methods(descriptors: &'static [u8]) -> Result<Methods, prost::DecodeError> {
    Methods::of(&[
        descriptors,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
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
