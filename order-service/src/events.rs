//! Events: the outcomes that this service consumes, and the events that it publishes.

mod outcome;
mod published;

pub use outcome::OutcomeHandler;
pub use published::{cancellation_requested, order_placed};
