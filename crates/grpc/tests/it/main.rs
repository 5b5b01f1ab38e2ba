//! The gRPC client and server over real connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod eventually;
mod frames;
mod recording;

mod client;
mod server;
