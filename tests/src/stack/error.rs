//! Why a stack cannot start. Each message says what to do about it, because a person reads it in a terminal.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{Process, TopicsError};

/// Why a stack cannot start.
#[derive(Debug, Error)]
pub enum StackError {
    /// Another stack owns the directory.
    #[error("{} is in use by a running stack: stop it, or choose another directory with --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    DataDirectory {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Somebody else listens on a port that the stack needs.
    #[error("port {port}, meant for {process}, is taken: choose another with {} (0 picks a free one)", process.port_option())]
    PortTaken {
        /// Whose port it should be.
        process: Process,
        /// The port.
        port: u16,
    },
    /// A port cannot be used for another reason, such as a missing right.
    #[error("cannot listen on port {port}")]
    Port {
        /// The port.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
    /// No free port was found.
    #[error("no free port found")]
    NoFreePort,
    /// A process of an earlier stack still runs and cannot be ended.
    #[error(
        "{process} of an earlier stack still runs on this data directory and cannot be stopped"
    )]
    Leftover {
        /// The process.
        process: Process,
        /// What went wrong.
        source: io::Error,
    },
    /// The program is not there.
    #[error("there is no {}: build it with `cargo build --workspace --bins` (with the same --release)", path.display())]
    NotBuilt {
        /// Where it should be.
        path: PathBuf,
    },
    /// The operating system would not start the process.
    #[error("cannot start {process}")]
    Spawn {
        /// The process.
        process: Process,
        /// What the operating system says.
        source: io::Error,
    },
    /// The process ended, or did not become ready in time.
    #[error("{process} {what}; its log {} ends with:\n{tail}", log.display())]
    NotReady {
        /// The process.
        process: Process,
        /// What it did instead.
        what: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The broker named on the command line does not answer.
    #[error("no Kafka broker answers at {address} (--kafka)")]
    NoBroker {
        /// Its address.
        address: String,
    },
    /// The topics could not be created.
    #[error(transparent)]
    Topics(#[from] TopicsError),
}
