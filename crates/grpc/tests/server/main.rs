//! The gRPC server as its clients see it: real connections, with TLS and without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod certificates;
mod connections;
mod frames;
mod hostile;
mod probe;
mod renewal;
mod server;
mod telemetry;
mod tls;
mod who;
