//! What every order store promises, on every database: one rule, one test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod database;
mod orders;

mod apply;
mod cancel;
mod place;
mod read;

mod releases;

mod replicas;
