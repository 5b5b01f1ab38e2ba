//! `auditor dump` writes the topics of a broker into files; `auditor check` audits files and databases, and nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use auditor::database::{Database, Databases};
use auditor::{Inputs, Limits, check, dump};
use clap::{Args, Parser, Subcommand};

/// Proves that a run lost nothing and doubled nothing.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dump(DumpArguments),
    Check(CheckArguments),
}

/// Write every record of every topic, and the offsets of the groups, into files.
#[derive(Debug, Args)]
struct DumpArguments {
    /// The brokers.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: String,
    /// Where to write; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Audit a run that has come to rest. The exit code is 0 when nothing was found, 1 when something was, 2 when an input
/// cannot be read.
#[derive(Debug, Args)]
struct CheckArguments {
    /// The client's journal.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// The database of order-service: sqlite://PATH or postgres://…
    #[arg(long, value_name = "URL")]
    orders_database: Database,
    /// The database of processing-service: sqlite://PATH or postgres://…
    #[arg(long, value_name = "URL")]
    processing_database: Database,
    /// The directory that `auditor dump` has written.
    #[arg(long, value_name = "DIR")]
    topics: PathBuf,
    /// Write the verdict to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Records that may have come twice on the event topics [default: any number; it is told].
    #[arg(long, value_name = "N")]
    wire_duplicates_at_most: Option<u64>,
    /// Orders that may have ended as parked events or dead letters [default: any number; it is told].
    #[arg(long, value_name = "N")]
    set_aside_at_most: Option<u64>,
    /// The services had consumed everything and were stopped in order: their offsets must be the ends of the topics.
    #[arg(long)]
    stopped_cleanly: bool,
    /// Others than the journal's client have placed orders: one that the journal does not know is no violation.
    #[arg(long)]
    has_strangers: bool,
}

/// Nothing was proved: an input cannot be read.
const NO_VERDICT: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dump(arguments) => dump::all_topics(&arguments.kafka, &arguments.out)
            .await
            .map(|()| true),
        Command::Check(arguments) => audit(arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("auditor: {error:#}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

async fn audit(arguments: CheckArguments) -> Result<bool> {
    let limits = Limits {
        wire_duplicates: arguments.wire_duplicates_at_most,
        set_aside: arguments.set_aside_at_most,
        stopped_cleanly: arguments.stopped_cleanly,
        has_strangers: arguments.has_strangers,
    };
    let inputs = Inputs {
        databases: Databases {
            orders: arguments.orders_database,
            processing: arguments.processing_database,
        },
        journal: Some(arguments.journal),
        topics: arguments.topics,
    };
    let verdict = check(&inputs, &limits).await?;
    print!("{verdict}");
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&verdict)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(verdict.is_ok())
}
