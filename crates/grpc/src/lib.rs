//! gRPC for a service: [`server`] (layers, connection limits), [`client`] (deadline, retries, circuit breaker, discovery),
//! [`tls`] and [`auth`] for both.

pub mod server;

pub mod client;

mod call_record;
pub mod grpc_timeout;
mod middleware;

pub mod auth;
pub mod rate_limit;
pub mod tls;

pub mod health;
pub mod probe;

pub mod status;
