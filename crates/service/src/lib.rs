//! The process of a service, without gRPC, Kafka or SQL.
//!
//! In reading order: [`command_line`] is the `main` of a service; [`config`] reads its settings from the environment;
//! [`shutdown`] turns signals into a token; [`supervisor`] runs the tasks and stops them in order. [`backoff`] and
//! [`deadline`] bound retries and waits, [`error_chain`] prints an error with its causes. [`crash_points`] and
//! [`seeded_rng`] exist for tests.

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

/// The same for all instances of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceIdentity {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
}
