//! A Kafka consumer for services: events of one key in order, different keys concurrently, at-least-once delivery.
//!
//! ```text
//!  thread kafka-poll          one task per partition session                     one task per in-flight event
//! ┌───────────────────┐ assign ┌────────────────────────────────────┐ head of lane ┌───────────────────────────┐
//! │ poll: rebalances, │───────▶│ queue ─▶ tracker ─▶ lane of the key│─────────────▶│ attempts, with backoff ─▶ │
//! │ errors, commits   │ drain  │          ▲          blocked keys   │◀─────────────│ handled, retry store, dead│
//! └───────────────────┘◀──────▶└──────────┼─────────────────────────┘  finished    └────────┬────────┬─────────┘
//!          ▲                              │ progress: the lowest                            │ store  │ dead letter
//!          └──────────────────────────────┘ incomplete offset                               ▼        ▼
//!                                                             one sweeper ◀──claims── database   dead-letter topic
//! ```
//!
//! A service implements [`Handler`], describes the topic in a [`ConsumerConfig`], and runs a [`Consumer`].
//! `examples/handle_once.rs` shows a handler that is idempotent with the [`inbox`].
//!
//! # Guarantees
//!
//! * **Order**: one event per key is in flight; the next starts when it is done, retries included. Later events of a key
//!   with events in the retry store go behind them, without a call of the handler ([`retry_store`]).
//! * **No event waits for ever or vanishes**: a failing event is retried in memory for a bounded time, then moved to the
//!   retry store and retried by the sweeper. An event that cannot succeed is on the dead-letter topic before it is in the
//!   retry store, and in the retry store before its offset is complete. While the database is down nothing is moved and
//!   everything is retried in memory. If nearly every event is rejected, the partition stops.
//! * **No task dies silently**: a panic outside of a handler stops the consumer with an error (`supervised.rs`).
//! * **A poison pill** (a record that kills the process) is isolated after a few crashes.
//! * **Offsets**: a commit never passes the lowest incomplete offset.
//! * **Back-pressure**: a partition with enough in-flight records is not read; librdkafka stops fetching by itself.
//! * **Rebalance and shutdown are one path**: stop reading, drop waiting records, finish in-flight events up to a deadline,
//!   commit synchronously, give the partition back. A handler that finishes later moves no offset and writes no dead letter,
//!   and the inbox makes its effect harmless. If the partition comes back first, the keys of such handlers wait for them.
//! * **A lost session commits nothing**: the partitions may have other owners already.
//! * **Records that were deleted before they were read are reported**, with topic, partition and number.
//! * **Delivery is at least once**: a handler makes its effect idempotent with an inbox row in the same transaction.
//!
//! # One place for each decision
//!
//! | decision | file |
//! |---|---|
//! | whether a failure is retried, rejected or fatal | `attempts.rs`: the handler's [`Failure`], panics, poison pills |
//! | how long to retry, when to move to the retry store, after which round to give up | `retry_policy.rs`; applied by `retries.rs` (in memory) and `sweeper.rs` (retry store) |
//! | which offset may be committed | `tracker.rs` |
//! | commit of offsets | `offset_commits.rs` |
//! | whether records were deleted unread | `deleted_records.rs` |
//! | whether an attempt may start | `concurrency.rs`, `crash_loop_guard.rs` |
//! | whether a rejected event may become a dead letter | `retries/reject_gate.rs` |
//!
//! The files stand below in reading order. An event passes `poll` → `partition` (queue, lane) → `retries` →
//! `attempts` (guard, [`Handler`]) → `retries` → `tracker` → `offset_commits`.

#![warn(missing_docs)]

mod config;
mod handler;
mod retry_policy;

mod consumer;
mod offset_commits;
mod poll;
mod rebalance;

mod lanes;
mod partition;
mod tracker;

mod attempts;
mod concurrency;
mod crash_loop_guard;
mod dead_letters;
mod deleted_records;
mod retries;

mod supervised;
mod sweeper;

mod instrumentation;

pub mod inbox;
pub mod operator;
pub mod retry_store;

mod retention;

pub use config::{ConsumerConfig, TraceProcessing};
pub use consumer::Consumer;
pub use handler::{BoxError, Delivery, Failure, Handler};
pub use poll::ConsumerError;
pub use retention::ConsumerRetention;
pub use retry_policy::RetryPolicy;
pub use retry_store::database::MIGRATIONS;
