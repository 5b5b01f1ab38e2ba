//! Calls through a `ServiceClient` to real servers on loopback that answer as each test tells them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod recording;
mod server;
mod setup;

mod breaker;
mod deadlines;
mod endpoints;
mod metrics;
mod retries;
mod service_config;
mod tracing;
