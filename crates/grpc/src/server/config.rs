//! What a gRPC server is told: where it listens, and how much it takes on.

use std::net::SocketAddr;
use std::time::Duration;

use super::age::ConnectionAge;
use crate::tls::ServerTlsFiles;
use service::config::Settings;

/// More calls at once than this are not worked on but waited for.
const MAX_CONCURRENCY: usize = 100_000;

/// Where the server listens, and on which terms.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Address and port; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The longest that a unary call may take, whatever deadline the client brings or forgets.
    pub call_limit: Duration,
    /// Calls in work at once, over all connections.
    pub concurrency: usize,
    /// Open connections at most.
    pub connections: usize,
    /// When a connection is renewed.
    pub connection_age: ConnectionAge,
    /// The files of TLS; none: no encryption.
    pub tls: Option<ServerTlsFiles>,
    /// Whether the contract can be asked for.
    pub has_reflection: bool,
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
            call_limit: read_call_limit(settings),
            concurrency: read_concurrency(settings),
            connections: read_connections(settings),
            connection_age: ConnectionAge::read(settings),
            tls: ServerTlsFiles::read(settings),
            has_reflection: settings.value(
                "GRPC_REFLECTION",
                "true",
                "whether tools may ask the server for its contract",
            ),
        }
    }
}

fn read_call_limit(settings: &mut Settings<'_>) -> Duration {
    const NAME: &str = "GRPC_CALL_LIMIT";
    let limit: Duration = settings.value(
        NAME,
        "15s",
        "the longest that a unary call may take, also if its client brings a later deadline or none",
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
        "calls in work at once, over all connections; more are refused with RESOURCE_EXHAUSTED, health checks excepted",
    );
    if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
        settings.reject(NAME, format!("must be 1 to {MAX_CONCURRENCY}"));
    }
    concurrency
}

/// A server that could have no connection would be no server.
fn read_connections(settings: &mut Settings<'_>) -> usize {
    const NAME: &str = "GRPC_CONNECTIONS";
    let connections = settings.value(
        NAME,
        // A client shares a connection among all its calls: this many connections are this many client processes.
        "4096",
        "open connections of the gRPC server at most; beyond, the one that was idle longest is closed for the new one",
    );
    if connections == 0 {
        settings.reject(NAME, "must be at least 1");
    }
    connections
}
