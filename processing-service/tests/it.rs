//! All integration tests in one binary, because linking each one costs seconds.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

mod store_contract;

mod check_availability;
mod handler;
mod process;
mod process_order;
mod tracing;
