//! Settings of a gRPC server.

use std::net::SocketAddr;
use std::time::Duration;

use super::connection_age::ConnectionAge;
use crate::tls::ServerTlsFiles;
use service::config::Settings;

/// More concurrent calls than this would queue instead of being processed.
const MAX_CONCURRENCY: usize = 100_000;

#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Port 0: chosen by the system.
    pub listen: SocketAddr,
    /// Limit of a unary call, also if its client sends a later deadline or none.
    pub call_limit: Duration,
    /// In-flight calls over all connections.
    pub concurrency: usize,
    /// Open connections.
    pub connections: usize,
    /// Age at which a connection gets a GOAWAY.
    pub connection_age: ConnectionAge,
    /// `None`: no TLS.
    pub tls: Option<ServerTlsFiles>,
    pub has_reflection: bool,
}

impl GrpcConfig {
    /// Each service has its own default port.
    pub fn read(settings: &mut Settings<'_>, default_listen: &'static str) -> Self {
        Self {
            listen: settings.value(
                "GRPC_LISTEN",
                default_listen,
                "address and port of the gRPC server; loopback unless set, port 0 lets the system choose",
            ),
            call_limit: read_call_limit(settings),
            concurrency: read_concurrency(settings),
            connections: read_connections(settings),
            connection_age: ConnectionAge::read(settings),
            tls: ServerTlsFiles::read(settings),
            has_reflection: settings.value(
                "GRPC_REFLECTION",
                "true",
                "whether the server offers gRPC reflection",
            ),
        }
    }
}

fn read_call_limit(settings: &mut Settings<'_>) -> Duration {
    const NAME: &str = "GRPC_CALL_LIMIT";
    let limit: Duration = settings.value(
        NAME,
        "15s",
        "limit of a unary call, and of the opening of a stream, also if its client sends a later deadline or none",
    );
    if limit.is_zero() {
        settings.reject(NAME, "must be more than 0");
    }
    limit
}

fn read_concurrency(settings: &mut Settings<'_>) -> usize {
    const NAME: &str = "GRPC_CONCURRENCY";
    let concurrency = settings.value(
        NAME,
        "512",
        "concurrent calls over all connections; more are rejected with RESOURCE_EXHAUSTED, except health checks",
    );
    if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
        settings.reject(NAME, format!("must be 1 to {MAX_CONCURRENCY}"));
    }
    concurrency
}

fn read_connections(settings: &mut Settings<'_>) -> usize {
    const NAME: &str = "GRPC_CONNECTIONS";
    let connections = settings.value(
        NAME,
        // A client multiplexes its calls over one connection: this is the number of client processes.
        "4096",
        "maximum open connections of the gRPC server; at the limit the connection idle longest is closed for a new one",
    );
    if connections == 0 {
        settings.reject(NAME, "must be at least 1");
    }
    connections
}
