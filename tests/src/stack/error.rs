//! Why a stack cannot start. Each message says how to fix it, because it is read in a terminal.

use std::io;
use std::path::PathBuf;

use postgres_server::ServerError;
use thiserror::Error;

use super::{Process, Service};

#[derive(Debug, Error)]
pub enum StackError {
    /// Another stack owns the directory.
    #[error("{} is in use by a running stack: stop it, or choose another directory with --data-dir", path.display())]
    InUse { path: PathBuf },
    /// The directory cannot be used.
    #[error("cannot use the data directory {}", path.display())]
    DataDirectory {
        /// The directory or the file in it.
        path: PathBuf,
        source: io::Error,
    },
    /// A port that the stack needs is in use.
    #[error("port {port}, meant for {service}, is taken: choose another with {} (0 picks a free one)", service.port_option())]
    PortTaken { service: Service, port: u16 },
    /// A port cannot be used for another reason, such as a missing right.
    #[error("cannot listen on port {port}")]
    Port { port: u16, source: io::Error },
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
    InFlight { process: Process, source: io::Error },
    /// The program is not built.
    #[error("there is no {}: build it with `cargo build --workspace --bins` (with the same --release)", path.display())]
    NotBuilt { path: PathBuf },
    /// A signal or a start for a process that the stack does not have, such as an external broker.
    #[error("the stack has no process {process}")]
    NoSuchProcess { process: Process },
    /// The operating system would not start the process.
    #[error("cannot start {process}")]
    Spawn { process: Process, source: io::Error },
    /// The process ended, or did not become ready in time.
    #[error("{process} {event}; its log {} ends with:\n{tail}", log.display())]
    NotReady {
        process: Process,
        event: &'static str,
        log: PathBuf,
        tail: String,
    },
    /// The broker named on the command line does not answer.
    #[error("no Kafka broker answers at {address} (--kafka)")]
    NoBroker { address: String },
    /// A subcommand for topics or schemas failed.
    #[error("{service} {subcommand} failed: {said}")]
    Subcommand {
        service: Service,
        subcommand: &'static str,
        said: String,
    },
    /// Several replicas on engines that do not support them.
    #[error(
        "{replicas} replicas need --kafka apache (or HOST:PORT) and --database postgres: the embedded broker serves one \
         member per group, and a SQLite file has one owner"
    )]
    NotShareable { replicas: u16 },
    /// Zero replicas.
    #[error("at least one replica is needed")]
    NoReplicas,
    /// The jars of Apache Kafka are missing.
    #[error("Apache Kafka is not in {}: run `make apache-kafka` (needs Java 17 and Maven)", home.display())]
    NoApacheKafka { home: PathBuf },
    #[error(transparent)]
    Postgres(#[from] ServerError),
    /// The preparation of the PostgreSQL server was interrupted.
    #[error("the PostgreSQL server is not prepared")]
    NoPostgres,
    /// A failover in a stack without proxies.
    #[error("a failover needs a PostgreSQL server behind a proxy")]
    NoStandby,
    /// A tool could not be run.
    #[error("cannot run {program}")]
    Run { program: String, source: io::Error },
    /// A tool failed.
    #[error("{program} failed: {said}")]
    ToolFailed { program: String, said: String },
}
