//! The contract of the order store, on every database: one test per rule.

use service::deadline::Deadline;

mod database;
mod orders;

mod apply;
mod cancel;
mod open_orders;
mod place;
mod read;

mod releases;
mod retention;

mod replicas;

/// The reads of these tests have no deadline.
const NEVER: Deadline = Deadline::NEVER;
