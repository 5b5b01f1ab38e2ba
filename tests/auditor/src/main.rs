//! `auditor dump` writes the topics of a broker into files; `auditor check` audits files and databases, and nothing else.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use auditor::database::{Database, Databases};
use auditor::{Inputs, Limits, check, dump};
use clap::{Args, Parser, Subcommand};

/// Proves that a run lost and duplicated nothing.
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

/// Write all records of all topics and the committed offsets into files.
#[derive(Debug, Args)]
struct DumpArguments {
    /// Bootstrap brokers.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: String,
    /// KAFKA_TOPIC_PREFIX of the installation; the names of the files and in them have none.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    topic_prefix: String,
    /// Output directory; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Audit an idle system. Exit code 0: no violation; 1: violations; 2: an input cannot be read.
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
    /// KAFKA_TOPIC_PREFIX of the installation: databases of another one are an error.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    topic_prefix: String,
    /// The output directory of `auditor dump`.
    #[arg(long, value_name = "DIR")]
    topics: PathBuf,
    /// Write the verdict to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Maximum number of repeated records on the event topics [default: unlimited, only reported].
    #[arg(long, value_name = "N")]
    wire_duplicates_at_most: Option<u64>,
    /// Maximum number of orders with events in a retry store [default: unlimited, only reported].
    #[arg(long, value_name = "N")]
    retry_store_orders_at_most: Option<u64>,
    /// The services consumed everything and stopped cleanly: committed offsets must be the partition ends.
    #[arg(long)]
    stopped_cleanly: bool,
    /// Other clients placed orders too: an order without a call in the journal is no violation.
    #[arg(long)]
    has_other_clients: bool,
}

/// Exit code when an input cannot be read: nothing is proved.
const NO_VERDICT: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dump(it) => dump::all_topics(&it.kafka, &it.topic_prefix, &it.out)
            .await
            .map(|()| true),
        Command::Check(arguments) => audit(arguments).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "auditor: {error:#}");
            ExitCode::from(NO_VERDICT)
        }
    }
}

async fn audit(arguments: CheckArguments) -> Result<bool> {
    let limits = Limits {
        wire_duplicates: arguments.wire_duplicates_at_most,
        set_aside: arguments.retry_store_orders_at_most,
        stopped_cleanly: arguments.stopped_cleanly,
        has_other_clients: arguments.has_other_clients,
    };
    let inputs = Inputs {
        databases: Databases {
            orders: arguments.orders_database,
            processing: arguments.processing_database,
        },
        topic_prefix: arguments.topic_prefix,
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
