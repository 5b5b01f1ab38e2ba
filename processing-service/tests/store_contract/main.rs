//! What every store promises, on every database: one rule, one test, against `dyn ProcessingStore`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../support/database.rs"]
mod database;
#[path = "../support/fixture.rs"]
mod fixture;

mod events;
mod failures;
mod sagas;
mod stock;

mod replicas;
