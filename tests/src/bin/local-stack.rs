//! The whole system on one machine, with one command: `up` keeps it running, `demo` replays real orders through it,
//! `broker` runs only an Apache Kafka, for the system tests.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::demo::{self, DemoArguments};
use tests::stack::broker;
use tests::stack::up::{self, UpArguments};

/// The whole system on one machine: a Kafka broker, databases and both services.
#[derive(Debug, Parser)]
#[command(version)]
struct LocalStackArguments {
    #[command(subcommand)]
    command: LocalStackCommand,
}

#[derive(Debug, Subcommand)]
enum LocalStackCommand {
    Up(UpArguments),
    Demo(DemoArguments),
    /// Run only an Apache Kafka, until standard input is closed; print its address and the file of its log.
    Broker,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match LocalStackArguments::parse().command {
        LocalStackCommand::Up(arguments) => up::run(arguments).await,
        LocalStackCommand::Demo(arguments) => demo::run(arguments).await,
        LocalStackCommand::Broker => broker::run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "local-stack: {error:#}");
            ExitCode::FAILURE
        }
    }
}
