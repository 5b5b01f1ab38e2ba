//! The relay and the consumer on librdkafka's mock cluster: a broker in this process that can be told to misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod consumer;
mod fences;
mod flaky_outbox;
mod group;
mod killers;
mod leases;
mod parking;
mod rebalance;
mod relay;
mod shared_outbox;
mod teller;
mod topics;
mod tracing;
