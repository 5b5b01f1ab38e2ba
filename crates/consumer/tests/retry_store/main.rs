//! What parking promises, on every database: one rule, one test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod database;
mod records;

mod assignments;
mod blocked_keys;
mod claims;
mod contention;
mod counts;
mod operations;
mod operator;
