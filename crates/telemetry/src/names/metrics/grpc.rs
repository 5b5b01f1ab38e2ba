//! Metrics of the gRPC server, and durations of calls on both sides.

use opentelemetry_semantic_conventions::metric as conventions;

use super::CALL_SECONDS;
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge, Histogram};
use crate::vocabulary::{Metric, NameOrigin, always, sometimes};

pub const RPC_SERVER_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_SERVER_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Duration of incoming calls, from the request to the end of the response",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is a server error"),
    ],
    source: NameOrigin::Conventions,
};

pub const RPC_CLIENT_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_CLIENT_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Duration of outgoing calls, including all attempts",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is not `OK`"),
        always(attr::SERVER_ADDRESS),
        always(attr::SERVER_PORT),
    ],
    source: NameOrigin::Conventions,
};

pub const GRPC_SERVER_CALLS_ACTIVE: Metric = Metric {
    name: "grpc.server.calls.active",
    instrument: Gauge,
    unit: "{call}",
    brief: "Calls in flight, including open streams",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const GRPC_SERVER_CALLS_SHED: Metric = Metric {
    name: "grpc.server.calls.shed",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls rejected by load shedding, before their handler",
    attributes: &[always(attr::SHED_REASON)],
    source: NameOrigin::Own,
};

pub const GRPC_SERVER_CONNECTIONS: Metric = Metric {
    name: "grpc.server.connections",
    instrument: Gauge,
    unit: "{connection}",
    brief: "Open connections of the gRPC server",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const GRPC_SERVER_CONNECTIONS_EVICTED: Metric = Metric {
    name: "grpc.server.connections.evicted",
    instrument: Counter,
    unit: "{connection}",
    brief: "Idle connections closed to admit another connection",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const GRPC_SERVER_CONNECTIONS_REFUSED: Metric = Metric {
    name: "grpc.server.connections.refused",
    instrument: Counter,
    unit: "{connection}",
    brief: "Connections rejected at the limit, because all others had calls in flight",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const GRPC_SERVER_HANDSHAKES_FAILED: Metric = Metric {
    name: "grpc.server.handshakes.failed",
    instrument: Counter,
    unit: "{handshake}",
    brief: "Failed TLS handshakes",
    attributes: &[],
    source: NameOrigin::Own,
};
