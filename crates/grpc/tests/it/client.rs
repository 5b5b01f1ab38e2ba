//! Calls through a `ServiceClient` to servers on loopback whose answers each test scripts.

mod scripted_server;
mod setup;

mod circuit_breaker;
mod deadlines;
mod endpoints;
mod metrics;
mod retries;
mod service_config;
mod tracing;
