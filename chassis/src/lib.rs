//! What any service of this kind needs, and nothing of what an order is.
//!
//! The modules in reading order: how a service is configured, observed and stopped; how it serves gRPC; how it calls
//! another service; how it keeps data and shares commits; how an event leaves it, and how one arrives.

pub mod command_line;
pub mod config;
pub mod propagation;
pub mod shutdown;
pub mod telemetry;

pub mod auth;
pub mod deadline;
pub mod fairness;
pub mod grpc;
pub mod health;
pub mod probe;
pub mod tls;

pub mod client;

pub mod database;
pub mod group_commit;
pub mod inbox;
pub mod outbox;
pub mod postgres;
mod schema;
pub mod sqlite;

pub mod relay;

pub mod consumer;
pub mod parking;

pub mod operator;

pub mod backoff;
#[cfg(test)]
mod chance;
pub mod crash_points;
pub mod error_chain;
pub mod headers;
pub mod kafka;
pub mod topics;
