//! The integration tests, in one binary to link once: the API over a connection, and the contract of the store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod store_contract;
