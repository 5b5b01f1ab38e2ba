//! The API over a real connection, with no Kafka anywhere: orders are taken and confirmed all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
mod issuer;
mod line;
mod service;
mod stock;

mod errors;
mod hostile;
mod orders;
mod ownership;
mod shutdown;

mod availability;
mod backlog;
mod deadlines;
mod overload;

mod outages;
mod replicas;
