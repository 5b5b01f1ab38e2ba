//! order-service: accepts orders. The client gets a durable confirmation at once; the outcome arrives later as events of
//! processing-service and is shown by GetOrder and WatchOrder.
//!
//! In reading order, along the life of an order:
//!
//! 1. [`domain`]: the order and its state machine, pure.
//! 2. [`rpc`]: the five methods, each one parse → decide → persist → reply; and the mapping of errors to status.
//! 3. [`admission`]: refuses new orders while too many events wait for Kafka.
//! 4. [`availability`], [`inventory`]: the availability check before an order is accepted, within a budget.
//! 5. [`events`]: the events that are published and the outcomes that are consumed.
//! 6. [`commit`]: group commit: many commands share a transaction, each gets its own reply.
//! 7. [`store`]: order, history and outbox row in one commit, on SQLite and PostgreSQL.
//! 8. [`watchers`], [`follower`]: hand committed entries to open WatchOrder streams, those of this replica and of others.
//!    [`history_reader`]: what was committed before, read for many streams in one statement.
//!    [`open_orders_watch`]: the age of the oldest order without a final state.
//! 9. [`operator`]: dead letters as an operator sees them, and orders whose events are published again.
//! 10. [`names`]: the telemetry names of this service.
//! 11. [`app`]: wiring, start and shutdown; [`config`], [`retention`] and [`topics`] are its data.
//! 12. [`conversion`]: domain ⇄ protobuf.

pub mod domain;

pub mod rpc;

pub mod admission;
pub mod availability;
pub mod inventory;

pub mod events;

pub mod commit;
pub mod store;

pub mod follower;
pub mod history_reader;
pub mod open_orders_watch;
pub mod watchers;

pub mod operator;

pub mod names;

pub mod app;
pub mod config;
pub mod retention;
pub mod topics;

pub mod conversion;

#[cfg(test)]
mod fixture;

/// What `--version` prints, and `service.version` of telemetry. deploy/Dockerfile sets `RELEASE`.
pub const VERSION: &str = service::version(option_env!("RELEASE"), env!("CARGO_PKG_VERSION"));
