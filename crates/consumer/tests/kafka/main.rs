//! The relay and the consumer on librdkafka's mock cluster: a broker in this process that can be told to misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod blocked_keys;
mod consumer;
mod group;
mod killers;
mod rebalance;
mod retry_store;
mod teller;
mod tracing;
