//! The whole system on one machine, with one command: `up` keeps it running, `demo` replays real orders through it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tests::demo::{self, DemoArguments};
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match LocalStackArguments::parse().command {
        LocalStackCommand::Up(arguments) => up::run(arguments).await,
        LocalStackCommand::Demo(arguments) => demo::run(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local-stack: {error:#}");
            ExitCode::FAILURE
        }
    }
}
