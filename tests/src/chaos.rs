//! `make chaos`: orders come in, things break, and at the end everything has to add up.
//!
//! ```text
//! fresh stack behind proxies ─▶ orders, open loop ──────────────────────────────▶ all final ─▶ stop ─▶ audit ─▶ report
//!                               disruptions, one after the other, then silence ┘
//!                               disturbances beside them
//! ```
//!
//! Rules, so that no fault makes another one meaningless:
//!
//! * The plan is a pure function of seed, length and engines ([`plan`]); running it again runs the same faults.
//! * One **disruption** at a time: a process killed, frozen, stopped, removed; connections cut, silent, slow. The next one
//!   begins at its time, or when the pair has recovered from the one before, whichever is later. In the middle of an
//!   outage of a server, or of the way to it, a replica of the pair may be killed too: that hits another component.
//! * **Disturbances** stop no component and start whenever they are due: trouble with payments; records published again,
//!   byte for byte, newest, old, or neighbours in the wrong order. One that finds the broker down is skipped and not
//!   counted.
//! * Everything comes once, in random order, before anything comes twice.
//! * No fault is on while orders come to their end: the last third, at most 20 s, is without.
//!
//! **Recovered** is the pair when an order that was placed after the fault's end is final. With several replicas that may
//! be one that the fault did not touch; the audit at the end is about all of them.
//!
//! The client is the one of the replay: an order without an answer is sent again, with the same request id, until it
//! is known what became of it.

mod course;
mod dice;
mod display;
pub mod fault;
mod inflict;
pub mod plan;
mod report;
mod run;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use plan::{EngineSet, Plan};

/// Load the pair with real orders, break things according to a plan, and check that everything adds up.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos", version)]
pub struct ChaosArguments {
    /// How long orders come in.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,

    /// What the pair runs on: the embedded broker and SQLite, or Apache Kafka and PostgreSQL with two replicas each.
    #[arg(long, value_enum, default_value = "embedded")]
    engines: EngineSet,

    /// What the plan of faults is drawn from [default: a random number].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Orders per second, sent on time whether or not answers come.
    #[arg(long, value_name = "R", default_value = "40", value_parser = crate::demo::positive_rate)]
    rate: f64,

    /// Only print the plan.
    #[arg(long)]
    plan: bool,

    /// Write the figures of the report to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Directory for databases, journal and logs; what an earlier run left there is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/chaos")]
    data_dir: PathBuf,
}

/// Runs the program.
///
/// # Errors
/// When the stack does not start, when the run was interrupted, or when the report does not pass.
pub async fn run(arguments: ChaosArguments) -> Result<()> {
    let seed = arguments
        .seed
        .unwrap_or_else(|| rand::random::<u64>() >> 32);
    let length = Duration::from_secs(arguments.seconds);
    let plan = Plan::new(seed, length, arguments.engines);
    print!("{plan}");
    if arguments.plan {
        return Ok(());
    }
    run::run(arguments, plan).await
}
