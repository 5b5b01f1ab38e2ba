//! order-service: takes orders. The caller gets a durable confirmation at once; what becomes of the order arrives later
//! as events of processing and is shown to whoever watches.
//!
//! In reading order, along the life of an order:
//!
//! 1. [`domain`]: what an order is and what may become of it, as pure functions.
//! 2. [`edge`]: a request becomes values, or all its faults are named; an error becomes a status.
//! 3. [`admission`]: no new orders while too many wait to be published.
//! 4. [`availability`], [`inventory`]: what processing is asked before an order is accepted, what its answer means, and how
//!    it is asked within a budget.
//! 5. [`rpc`]: the five methods, each one parse, decide, persist, reply.
//! 6. [`events`]: the decision as an event, with the trace it belongs to.
//! 7. [`commit`]: many callers share a transaction, and each gets its own answer.
//! 8. [`store`]: order, history and event in one commit; the rules of every database, and the ways of SQLite and
//!    PostgreSQL to keep them.
//! 9. [`outcomes`]: events of processing come back and move the order on, once each and in sequence.
//! 10. [`watchers`]: who waits for news of an order is woken, whichever replica moved it.
//! 11. [`operator`]: how an outcome that could not be applied is shown to a person.
//! 12. [`names`]: what telemetry calls all this, beside the names of the chassis.
//! 13. [`app`]: how all of it is wired, started and stopped.

pub mod domain;

pub mod edge;

pub mod admission;
pub mod availability;
pub mod inventory;

pub mod rpc;

pub mod events;

pub mod commit;

pub mod store;

pub mod outcomes;

pub mod watchers;

pub mod operator;

pub mod names;

pub mod app;

pub mod config;
pub mod convert;
pub mod topics;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod recording;
