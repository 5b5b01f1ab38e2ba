//! What is seen of the gRPC server, and of calls.

use opentelemetry_semantic_conventions::metric as conventions;

use super::CALL_SECONDS;
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge, Histogram};
use crate::vocabulary::{Metric, Source, always, sometimes};

/// What a client waits for.
pub const RPC_SERVER_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_SERVER_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time from the request to the end of the response, of calls that came in",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the server is to blame for the status"),
    ],
    source: Source::Conventions,
};
/// What this process waits for.
pub const RPC_CLIENT_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_CLIENT_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time of calls that went out, with all their attempts",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is not `OK`"),
        always(attr::SERVER_ADDRESS),
        always(attr::SERVER_PORT),
    ],
    source: Source::Conventions,
};
/// What is in work.
pub const GRPC_SERVER_CALLS_ACTIVE: Metric = Metric {
    name: "grpc.server.calls.active",
    instrument: Gauge,
    unit: "{call}",
    brief: "Calls in work, open streams included",
    attributes: &[],
    source: Source::Own,
};
/// What was refused early.
pub const GRPC_SERVER_CALLS_SHED: Metric = Metric {
    name: "grpc.server.calls.shed",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls that were refused before they were worked on, because there was too much to do",
    attributes: &[always(attr::SHED_REASON)],
    source: Source::Own,
};
/// Who is connected.
pub const GRPC_SERVER_CONNECTIONS: Metric = Metric {
    name: "grpc.server.connections",
    instrument: Gauge,
    unit: "{connection}",
    brief: "Open connections of the gRPC server",
    attributes: &[],
    source: Source::Own,
};
/// Who had to go.
pub const GRPC_SERVER_CONNECTIONS_EVICTED: Metric = Metric {
    name: "grpc.server.connections.evicted",
    instrument: Counter,
    unit: "{connection}",
    brief: "Connections without a call that were closed to make room for another",
    attributes: &[],
    source: Source::Own,
};
/// Who was not let in.
pub const GRPC_SERVER_CONNECTIONS_REFUSED: Metric = Metric {
    name: "grpc.server.connections.refused",
    instrument: Counter,
    unit: "{connection}",
    brief: "Connections that were closed at once because all others had calls in work",
    attributes: &[],
    source: Source::Own,
};
/// Who did not get through TLS.
pub const GRPC_SERVER_HANDSHAKES_FAILED: Metric = Metric {
    name: "grpc.server.handshakes.failed",
    instrument: Counter,
    unit: "{handshake}",
    brief: "TLS handshakes that did not lead to a connection",
    attributes: &[],
    source: Source::Own,
};
