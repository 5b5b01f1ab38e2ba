//! The relay and the consumer on librdkafka's mock cluster: a broker in this process that can be told to misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod blocked_keys;
mod consumer;
mod flaky_outbox;
mod group;
mod killers;
mod leases;
mod rebalance;
mod relay;
mod retry_store;
mod shared_outbox;
mod teller;
mod topics;
mod tracing;
