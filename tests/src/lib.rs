//! Everything that drives the pair from outside: real orders, their replay, the audit, the local stack, a client.
//!
//! Talks to the services as any client does, over gRPC and Kafka; only the audit (a crate of its own) reads their
//! databases. No service may depend on this crate.

pub mod alone;
pub mod audit;
pub mod bench;
pub mod chaos;
pub mod client;
pub mod closed_loop;
pub mod compare;
pub mod demo;
pub mod live;
pub mod load;
pub mod open_loop;
pub mod orderctl;
pub mod orders;
pub mod otlp;
pub mod page;
pub mod procfs;
pub mod proxy;
pub mod replay;
pub mod report;
pub mod stack;
pub mod system;
pub mod waterfall;
