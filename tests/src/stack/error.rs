//! Why a stack cannot start. Each message says what to do about it, because a person reads it in a terminal.

use std::io;
use std::path::PathBuf;

use postgres_server::ServerError;
use thiserror::Error;

use super::{Process, Service};

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
    /// A port that the stack needs is in use.
    #[error("port {port}, meant for {service}, is taken: choose another with {} (0 picks a free one)", service.port_option())]
    PortTaken {
        /// Whose port it should be.
        service: Service,
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
    /// A proxy cannot listen.
    #[error("a proxy before the broker or the database cannot listen")]
    Proxy(#[source] io::Error),
    /// No free port was found.
    #[error("no free port found")]
    NoFreePort,
    /// A process of an earlier stack still runs and cannot be ended.
    #[error(
        "{process} of an earlier stack still runs on this data directory and cannot be stopped"
    )]
    InFlight {
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
        /// The actual outcome.
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
    /// A service could not make its topics or its schema.
    #[error("{service} {subcommand} failed: {said}")]
    Subcommand {
        /// The service.
        service: Service,
        /// The expected file.
        subcommand: &'static str,
        /// Its output.
        said: String,
    },
    /// Several replicas where they cannot share what they need.
    #[error(
        "{replicas} replicas need --kafka apache (or HOST:PORT) and --database postgres: the embedded broker serves one \
         member per group, and a SQLite file has one owner"
    )]
    NotShareable {
        /// The requested value.
        replicas: u16,
    },
    /// A stack without services.
    #[error("at least one replica is needed")]
    NoReplicas,
    /// The jars of Apache Kafka are not there.
    #[error("Apache Kafka is not in {}: run `make apache-kafka` (needs Java 17 and Maven)", home.display())]
    NoApacheKafka {
        /// Where it should be.
        home: PathBuf,
    },
    /// There is no PostgreSQL server.
    #[error(transparent)]
    Postgres(#[from] ServerError),
    /// The preparation of the PostgreSQL server was interrupted.
    #[error("the PostgreSQL server is not prepared")]
    NoPostgres,
    /// A tool could not be run.
    #[error("cannot run {program}")]
    Run {
        /// The tool.
        program: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// A tool failed.
    #[error("{program} failed: {said}")]
    ToolFailed {
        /// The tool.
        program: String,
        /// What it said.
        said: String,
    },
}
