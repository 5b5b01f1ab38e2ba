//! What a process is: its settings and command line, when it starts and stops, how long it waits, how it tries again.
//!
//! Knows nothing of gRPC, Kafka or SQL.

pub mod command_line;
pub mod config;
pub mod shutdown;
pub mod supervisor;

pub mod backoff;
pub mod deadline;
pub mod error_chain;

pub mod crash_points;
#[cfg(any(test, feature = "testing"))]
pub mod seeded_rng;

/// Who speaks: the same for all instances of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceIdentity {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
}
