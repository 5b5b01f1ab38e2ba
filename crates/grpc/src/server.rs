//! gRPC server: connection limits, health, reflection, and the layers that every call passes.
//!
//! A connection holds a permit of the limiter, and is TLS where that is configured ([`accept`]). Layers, from the
//! outside in:
//!
//! ```text
//! telemetry: span and duration
//!   ─▶ connection_activity: in-flight calls per connection
//!        ─▶ errors: adds an ErrorInfo to every error
//!             ─▶ load_shed: rejects above the concurrency limit
//!                  ─▶ deadlines: grpc-timeout or the server's own limit
//!                       ─▶ stream_end: ends streams when the server stops
//!                            ─▶ auth: verifies the token, adds the caller
//!                                 ─▶ the method
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use service::command_line::ExitError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::util::option_layer;

use crate::auth::AuthLayer;
use crate::health::Health;
use crate::middleware::MiddlewareLayer;
use crate::tls::{ServerTls, TlsError};

mod config;

mod accept;
mod connection;
mod connection_age;
mod connection_limiter;
mod file_descriptors;
mod handshakes;

mod connection_activity;
mod deadlines;
pub mod errors;
mod instrumentation;
pub mod load_shed;
mod methods;
mod stream_end;

mod response;
pub mod violations;

pub use config::GrpcConfig;
pub use connection::ConnectionInfo;
pub use connection_age::ConnectionAge;
pub use connection_limiter::ConnectionLimiter;

use connection_activity::ConnectionActivityLayer;
use deadlines::DeadlineLayer;
use errors::ErrorLayer;
use instrumentation::CallTelemetryLayer;
use load_shed::LoadShedLayer;
use methods::Methods;
use stream_end::StreamEndLayer;

/// A connection without traffic is pinged at this interval and closed if the ping is not acknowledged within
/// [`KEEPALIVE_TIMEOUT`]: a half-open connection must not hold a stream for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for in-flight calls after the stop begins. Then all connections are closed, including those without a preface;
/// clients retry the calls that were cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Streams per connection. Streams are cheap, and a client watches many orders over one connection.
const MAX_STREAMS: u32 = 4_096;

/// Bytes of a call's metadata: ten times what tracing and authentication need.
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// Bytes of request data in flight per connection and per call: the memory that a connection can cost without an
/// in-flight call. hyper's default of 1 MiB would be 4 GiB for 4,096 connections; a quarter of it still carries 50 MB/s
/// over a round trip of 5 ms. The window of a call is the protocol's default (RFC 9113, section 6.9.2), several times
/// the largest order.
const CONNECTION_WINDOW: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 65_535;

/// A server that is bound and does not serve yet.
#[derive(Debug)]
pub struct GrpcServer {
    config: GrpcConfig,
    /// Domain of its errors (ErrorInfo).
    service: &'static str,
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: Option<ServerTls>,
    connections: ConnectionLimiter,
    authentication: Option<AuthLayer>,
}

#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The port is in use or not permitted.
    #[error("listening on {listen}")]
    Bind {
        listen: SocketAddr,
        source: std::io::Error,
    },
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    #[error("setting up server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("reading the descriptors of the service")]
    Descriptors(#[from] prost::DecodeError),
    #[error("serving gRPC")]
    Serve(#[from] tonic::transport::Error),
}

impl From<GrpcError> for ExitError {
    fn from(error: GrpcError) -> Self {
        Self::failed(error)
    }
}

impl GrpcServer {
    /// Loads the certificates and binds the port.
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
            connections: ConnectionLimiter::new(file_descriptors::affordable(config.connections)),
            authentication: None,
            config: config.clone(),
        })
    }

    /// Authenticates every call.
    #[must_use]
    pub fn authenticated(mut self, layer: AuthLayer) -> Self {
        self.authentication = Some(layer);
        self
    }

    /// The connection limiter, to register its metrics.
    pub fn connections(&self) -> &ConnectionLimiter {
        &self.connections
    }

    /// The bound address, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves the routes, health and reflection until `shutdown`, then ends streams and waits for in-flight calls.
    pub async fn serve(
        self,
        routes: Routes,
        descriptors: &'static [u8],
        health: &Health,
        shutdown: CancellationToken,
    ) -> Result<(), GrpcError> {
        let methods = methods(descriptors)?;
        let load_shed = LoadShedLayer::new(self.service, self.config.concurrency, methods.clone());
        let deadlines = DeadlineLayer {
            service: self.service,
            limit: self.config.call_limit,
            methods: methods.clone(),
        };
        let stream_end = StreamEndLayer {
            service: self.service,
            methods: methods.clone(),
            shutdown: shutdown.clone(),
        };
        let mut routes = routes.add_service(health.service());
        if self.config.has_reflection {
            routes = with_reflection(routes, descriptors)?;
        }
        let closing = CancellationToken::new();
        let config = accept::AcceptConfig {
            tls: self.tls,
            connections: self.connections,
            closing: closing.clone(),
            max_age: self.config.connection_age.close_after(),
        };
        let serving = limited_server(self.config.connection_age)
            .layer(MiddlewareLayer(CallTelemetryLayer::new(methods.clone())))
            .layer(MiddlewareLayer(ConnectionActivityLayer))
            .layer(MiddlewareLayer(ErrorLayer {
                service: self.service,
            }))
            .layer(MiddlewareLayer(load_shed))
            .layer(MiddlewareLayer(deadlines))
            .layer(MiddlewareLayer(stream_end))
            .layer(option_layer(self.authentication.map(MiddlewareLayer)))
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                accept::incoming(self.listener, config),
                shutdown.clone().cancelled_owned(),
            );
        Ok(close_late(serving, shutdown, closing).await?)
    }
}

/// Serves; closes the remaining connections [`DRAIN_TIMEOUT`] after `shutdown`.
async fn close_late<E>(
    serving: impl Future<Output = Result<(), E>>,
    shutdown: CancellationToken,
    closing: CancellationToken,
) -> Result<(), E> {
    let drain_timeout = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        () = drain_timeout => closing.cancel(),
    }
    serving.await
}

/// Limits per connection.
fn limited_server(age: ConnectionAge) -> Server {
    age.server()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .http2_max_header_list_size(Some(MAX_HEADER_LIST))
}

/// All methods of the server, for metrics labels and deadlines.
fn methods(descriptors: &'static [u8]) -> Result<Methods, prost::DecodeError> {
    Methods::of(&[
        descriptors,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
}

/// Reflection v1, and v1alpha for older tools.
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
