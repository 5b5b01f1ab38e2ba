//! gRPC for a service: a [`server`] with layers and connection limits, a [`client`] with deadlines, retries and a circuit
//! breaker, [`tls`] and [`auth`] for both.

pub mod server;

pub mod client;

pub mod grpc_timeout;

pub mod auth;
pub mod rate_limit;
pub mod tls;

pub mod health;
pub mod probe;
