//! Metrics of the gRPC server and of the gRPC client: calls, connections, circuit breaker, endpoints, retries.

use opentelemetry_semantic_conventions::metric as conventions;

use super::CALL_SECONDS;
use crate::names::attributes as attr;
use crate::vocabulary::{Metric, always, counter, gauge, histogram, sometimes};

pub const RPC_SERVER_CALL_DURATION: Metric = histogram(
    conventions::RPC_SERVER_CALL_DURATION,
    "s",
    CALL_SECONDS,
    "Duration of incoming calls, from the request to the end of the response",
)
.of_conventions()
.with(&[
    always(attr::RPC_SYSTEM_NAME),
    always(attr::RPC_METHOD),
    always(attr::RPC_RESPONSE_STATUS_CODE),
    sometimes(attr::ERROR_TYPE, "the status is a server error"),
]);

pub const RPC_CLIENT_CALL_DURATION: Metric = histogram(
    conventions::RPC_CLIENT_CALL_DURATION,
    "s",
    CALL_SECONDS,
    "Duration of outgoing calls, including all attempts",
)
.of_conventions()
.with(&[
    always(attr::RPC_SYSTEM_NAME),
    always(attr::RPC_METHOD),
    always(attr::RPC_RESPONSE_STATUS_CODE),
    sometimes(attr::ERROR_TYPE, "the status is not `OK`"),
    always(attr::SERVER_ADDRESS),
    always(attr::SERVER_PORT),
]);

pub const GRPC_SERVER_CALLS_ACTIVE: Metric = gauge(
    "grpc.server.calls.active",
    "{call}",
    "Calls in flight, including open streams",
);

pub const GRPC_SERVER_CALLS_SHED: Metric = counter(
    "grpc.server.calls.shed",
    "{call}",
    "Calls rejected by load shedding, before anything was stored",
)
.with(&[always(attr::SHED_REASON)]);

pub const GRPC_SERVER_CONNECTIONS: Metric = gauge(
    "grpc.server.connections",
    "{connection}",
    "Open connections of the gRPC server",
);

pub const GRPC_SERVER_CONNECTIONS_EVICTED: Metric = counter(
    "grpc.server.connections.evicted",
    "{connection}",
    "Idle connections closed to admit another connection",
);

pub const GRPC_SERVER_CONNECTIONS_REFUSED: Metric = counter(
    "grpc.server.connections.refused",
    "{connection}",
    "Connections rejected at the limit, because all others had calls in flight",
);

pub const GRPC_SERVER_HANDSHAKES_FAILED: Metric = counter(
    "grpc.server.handshakes.failed",
    "{handshake}",
    "Failed TLS handshakes",
);

pub const CLIENT_BREAKER_STATE: Metric = gauge(
    "client.breaker.state",
    "{state}",
    "State of the circuit breaker: 0 closed, 1 half open, 2 open",
)
.with(&[always(attr::DEPENDENCY)]);

pub const CLIENT_BREAKER_TRANSITIONS: Metric = counter(
    "client.breaker.transitions",
    "{transition}",
    "Transitions of the circuit breaker, by the new state",
)
.with(&[always(attr::DEPENDENCY), always(attr::BREAKER_TO)]);

pub const CLIENT_BREAKER_REFUSED: Metric = counter(
    "client.breaker.refused",
    "{call}",
    "Calls rejected by the open circuit breaker",
)
.with(&[always(attr::DEPENDENCY)]);

pub const CLIENT_ENDPOINTS: Metric =
    gauge("client.endpoints", "{endpoint}", "Known replicas, by state")
        .with(&[always(attr::DEPENDENCY), always(attr::ENDPOINT_STATE)]);

pub const CLIENT_ENDPOINT_EJECTIONS: Metric = counter(
    "client.endpoint.ejections",
    "{ejection}",
    "Ejections of a replica after failed calls",
)
.with(&[always(attr::DEPENDENCY)]);

pub const CLIENT_RETRIES: Metric = counter(
    "client.retries",
    "{attempt}",
    "Retries of calls, and retries withheld because the retry budget was exhausted",
)
.with(&[always(attr::DEPENDENCY), always(attr::RETRY_OUTCOME)]);
