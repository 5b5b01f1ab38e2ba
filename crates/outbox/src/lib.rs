//! A transactional outbox: events that are committed with the state they announce, and the relay that publishes them.
//!
//! An event written with its state cannot be lost and cannot announce a state that was rolled back. A crash between
//! acknowledgement and deletion publishes an event twice, so consumers drop duplicates. Events of one key are published
//! in the order in which they were written; there is no order across keys.
//!
//! 1. Add [`database::MIGRATIONS`] to the migrations of the service's database.
//! 2. Write each [`OutboxRecord`] in the transaction that changes the state: [`sqlite::insert`] or [`postgres::insert`].
//! 3. After the commit, call [`HandOver::committed`]: the event leaves at once, without being read from the table.
//! 4. Run one [`relay::Relay`] per process. Replicas of a service divide the outbox among them ([`lease`]).
//! 5. Watch the backlog ([`watch`]): it grows while Kafka is unavailable.
//!
//! `examples/write_with_state.rs` does all of this on SQLite. This crate knows no consumer and creates no topic.

#![warn(missing_docs)]

pub mod outbox;
pub mod shard;

pub mod hand_over;

pub mod database;
pub mod postgres;
pub mod sqlite;
mod statements;

pub mod lease;
pub mod relay;
pub mod watch;

pub use hand_over::{HandOver, InsertedRows};
pub use outbox::{BLOCKED_APART, Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow};
pub use shard::Shard;
