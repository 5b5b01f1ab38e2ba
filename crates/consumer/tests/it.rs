//! The integration tests of the crate, one binary: `kafka` on librdkafka's mock cluster (with the relay of `crates/outbox`),
//! `retry_store` on both database engines, and the example.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod kafka {
    mod blocked_keys;
    mod consumer;
    mod deleted_records;
    mod group;
    mod hostile_records;
    mod killers;
    mod rebalance;
    mod retry_store;
    mod scripted_handler;
    mod tracing;
}

mod retry_store {
    mod assignments;
    mod blocked_keys;
    mod claims;
    mod contention;
    mod counts;
    mod database;
    mod operations;
    mod operator;
    mod records;
    mod retention;
}

#[path = "../examples/handle_once.rs"]
#[allow(dead_code, reason = "the test calls run() instead of main()")]
mod handle_once;

#[tokio::test]
async fn the_second_delivery_to_the_example_changes_nothing() {
    assert_eq!(handle_once::run().await.unwrap(), 10);
}
