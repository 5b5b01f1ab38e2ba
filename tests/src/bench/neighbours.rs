//! `make bench ARGS=neighbours`: the effect on clients of order-service while processing-service is down, frozen, or slow.
//!
//! ```text
//! fresh stack ─▶ healthy ─▶ stopped ─▶ back ─▶ frozen ─▶ thawed ─▶ slow ─▶ healthy again ─▶ all final ─▶ stop ─▶ audit
//!                └──────────────── the same orders per second all the time, open loop ────┘
//! ```
//!
//! order-service reaches processing-service through a proxy, which delays answers in the slow phase and refuses
//! connections while the service is stopped, as the service's own port would. All replicas are affected, so that none
//! can answer.
//!
//! Each phase has its own figures: latency of PlaceOrder ([`crate::open_loop`]), accepted orders per availability,
//! refusals, and circuit breaker transitions, read from order-service's log. A phase counts from its first call,
//! because the onset of a fault matters most; only the first phase has a warm-up.
//!
//! At the end every order that was confirmed to a client must be final, and the audit must find no violation.
//!
//! Reading order: `phase` (state of processing-service), `breaker` (transitions in the log), `course` (the run on a
//! stack), `report`.

mod arguments;
mod breaker;
mod course;
mod phase;
mod report;

use std::path::Path;

use anyhow::{Result, bail, ensure};

pub(super) use self::arguments::NeighboursArguments;
use self::course::PhaseRunner;
use crate::chaos::plan::EngineSet;
use crate::demo::fresh_directory;
use crate::orders::basket;
use crate::stack::interrupt::Interrupt;
use crate::stack::{CatalogueSource, Stack, StackConfig};

/// Runs the program.
///
/// # Errors
/// When the stack does not start, when the run was interrupted, when an order did not become final, or when the audit is
/// red.
pub(super) async fn run(arguments: NeighboursArguments) -> Result<()> {
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

/// Runs all phases, and stops the stack in every case.
async fn on_stack(
    stack: Stack,
    arguments: &NeighboursArguments,
    interrupt: &Interrupt,
) -> Result<()> {
    let course = PhaseRunner::new(&stack, arguments)?;
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
