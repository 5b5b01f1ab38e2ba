//! `make neighbours`: the effect on clients of order-service while processing-service is down, frozen, or slow.
//!
//! ```text
//! fresh stack ─▶ healthy ─▶ stopped ─▶ back ─▶ frozen ─▶ thawed ─▶ slow ─▶ healthy again ─▶ all final ─▶ stop ─▶ audit
//!                └──────────────── the same orders per second all the time, open loop ────┘
//! ```
//!
//! order-service reaches processing-service through a proxy, which answers late when that is the phase and refuses
//! connections while the service is stopped, as its own port would. All replicas are hit, so that none can answer.
//!
//! Each phase has its own figures: latency of PlaceOrder ([`crate::open_loop`]), how many orders were accepted with which
//! availability, what was refused, and what the breakers of order-service did, as its log tells. A phase counts from its
//! first call, for what matters of a fault is its beginning; only the first phase warms up.
//!
//! At the end every order that was confirmed to a client has to be final, and the auditor must find nothing.
//!
//! Reading order: `phase` (what happens to processing-service), `breaker` (what order-service says of it), `course` (the
//! run on a stack), `report`.

mod breaker;
mod course;
mod phase;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Parser;

use self::course::Course;
use crate::chaos::plan::EngineSet;
use crate::demo::{fresh_directory, positive_rate};
use crate::orders::basket;
use crate::stack::interrupt::Interrupt;
use crate::stack::{CatalogueSource, Stack, StackConfig};

/// Load the stack while processing-service is healthy, stopped, frozen and slow, and say what its clients notice.
#[derive(Clone, Debug, Parser)]
#[command(name = "neighbours", version)]
pub struct NeighboursArguments {
    /// What the pair runs on: the embedded broker and SQLite, or Apache Kafka and PostgreSQL with two replicas each.
    #[arg(long, value_enum, default_value = "embedded")]
    engines: EngineSet,

    /// Orders per second, sent on time whether or not answers come.
    #[arg(long, value_name = "R", default_value = "100", value_parser = positive_rate)]
    rate: f64,

    /// Length of each phase.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// Deadline of a call in milliseconds, sent to the service.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,

    /// Write the figures of the report to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Directory for databases, journal and logs; what an earlier run left there is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/neighbours")]
    data_dir: PathBuf,
}

/// Runs the program.
///
/// # Errors
/// When the stack does not start, when the run was interrupted, when an order did not become final, or when the audit is
/// red.
pub async fn run(arguments: NeighboursArguments) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    fresh_directory::prepare(&arguments.data_dir)?;
    let config = config(&arguments.data_dir, arguments.engines);
    let stack = tokio::select! {
        stack = Stack::start(config) => stack?,
        () = interrupt.stop.cancelled() => bail!("interrupted while the stack was starting"),
    };
    println!("data and logs are in {}", stack.data_dir().display());
    tokio::select! {
        result = on_stack(stack, &arguments, &interrupt) => result,
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    }
}

fn config(data_dir: &Path, engines: EngineSet) -> StackConfig {
    StackConfig {
        engines: engines.engines(),
        through_proxies: true,
        ..StackConfig::on_free_ports(data_dir, CatalogueSource::Text(basket::catalogue()))
    }
}

/// Runs all phases, and stops the stack whatever came of them.
async fn on_stack(
    stack: Stack,
    arguments: &NeighboursArguments,
    interrupt: &Interrupt,
) -> Result<()> {
    let course = Course::new(&stack, arguments)?;
    let report = tokio::select! {
        report = course.run() => report,
        () = interrupt.stop.cancelled() => Err(anyhow::anyhow!("the run was interrupted")),
    };
    drop(course);
    stack.stop().await;
    let report = report?;
    println!("\n{report}");
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    ensure!(report.passed(), "the run did not pass");
    Ok(())
}
