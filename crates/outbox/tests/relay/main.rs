//! The relay on real databases and on librdkafka's mock cluster, a broker in this process that can be told to fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod blocked;
mod broker;
mod flaky_database;
mod hand_over;
mod leases;
mod plans;
mod records;
mod replicas;
