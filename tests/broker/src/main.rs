//! A Kafka-compatible broker on one SQLite file, for the local stack and the tests.
//!
//! A thin command line around the `tansu-broker` library: one node, one listener, one file. It is a process of its own
//! because its SQLite (libsql) and the services' SQLite (libsqlite3-sys) export the same symbols and cannot be linked
//! into one binary.
//!
//! Guarantees: an acknowledged record survives a kill of this process; the same file started again serves the same
//! topics, records and consumer offsets. It stops on SIGTERM and SIGINT with exit code 0.
//!
//! Not for production: it commits without fsync (a power failure may lose the last records), supports neither TLS nor
//! SASL here, has no usable transactions, and its group coordinator works reliably with one member per group only.

mod broker;
mod groups;
mod remembering_storage;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// A Kafka-compatible broker on one SQLite file, for the local stack and the tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,

    /// Advertised address, such as that of a proxy [default: the address to listen on].
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<SocketAddr>,

    /// File for topics, records and consumer offsets; created if missing.
    #[arg(long, value_name = "FILE", default_value = "broker.db")]
    database: PathBuf,

    /// Log filter for standard error, for example "info" or "tansu_broker=debug".
    #[arg(
        long,
        value_name = "FILTER",
        env = "LOG_FILTER",
        default_value = "warn"
    )]
    log_filter: EnvFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        listen,
        advertise,
        database,
        log_filter,
    } = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(log_filter)
        .with_writer(std::io::stderr)
        .init();

    match broker::run(listen, advertise.unwrap_or(listen), &database).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "embedded-broker: {error:#}");
            ExitCode::FAILURE
        }
    }
}
