//! What every order store promises, on every database: one rule, one test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use service::deadline::Deadline;

mod database;
mod orders;

mod apply;
mod cancel;
mod place;
mod read;

mod releases;

mod replicas;

/// Nobody waits for what these tests read.
const NEVER: Deadline = Deadline::NEVER;
