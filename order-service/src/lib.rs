//! order-service: takes orders. The caller gets a durable confirmation at once; what becomes of the order arrives later
//! as events of processing and is shown to whoever watches.
//!
//! In reading order, along the life of an order:
//!
//! 1. [`domain`]: what an order is and what may become of it, as pure functions.
//! 2. [`edge`]: a request becomes values, or all its faults are named; an error becomes a status.
//! 3. [`availability`]: what processing is asked before an order is accepted, and what its answer means.
//! 4. [`rpc`]: the five methods, each one parse, decide, persist, reply.
//! 5. [`events`]: the decision as an event, with the trace it belongs to.
//! 6. [`commit`]: many callers share a transaction, and each gets its own answer.
//! 7. [`store`]: order, history and event in one commit; the rules of every database, and the ways of SQLite and
//!    PostgreSQL to keep them.
//! 8. [`outcomes`]: events of processing come back and move the order on, once each and in sequence.
//! 9. [`watchers`]: who waits for news of an order is woken, whichever replica moved it.
//! 10. [`operator`]: how an outcome that could not be applied is shown to a person.
//! 11. [`app`]: how all of it is wired, started and stopped.

pub mod domain;

pub mod edge;

pub mod availability;

pub mod rpc;

pub mod events;

pub mod admission;

pub mod commit;

pub mod store;

pub mod outcomes;

pub mod watchers;

pub mod operator;

pub mod app;

pub mod config;
pub mod convert;
pub mod topics;

#[cfg(test)]
mod fixture;
