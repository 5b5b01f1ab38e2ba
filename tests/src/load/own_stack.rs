//! A run without a target: a fresh stack on free loopback ports, the run, and the audit of every order.

use std::time::Duration;

use anyhow::{Result, bail};
use auditor::Limits;
use tokio_util::sync::CancellationToken;

use super::arguments::RunArguments;
use super::baskets::Baskets;
use super::plan::RunEnd;
use super::report::LoadReport;
use super::session::LoadSession;
use super::target::TargetArguments;
use crate::audit;
use crate::demo::fresh_directory;
use crate::stack::interrupt::Interrupt;
use crate::stack::{CatalogueSource, Stack, StackConfig};

/// File name of the journal in the data directory.
const JOURNAL: &str = "journal.jsonl";

/// The goods last for this many orders: an hour at the rate of the fastest machine.
const ORDERS: usize = 10_000_000;

/// Maximum time until every order is final, after a load beyond the capacity.
const SETTLE: Duration = Duration::from_secs(300);

/// Starts the stack, runs, audits, and stops the stack in every case.
pub(super) async fn run(arguments: &RunArguments, interrupt: &Interrupt) -> Result<LoadReport> {
    let data_dir = &arguments.stack.data_dir;
    fresh_directory::prepare(data_dir)?;
    let baskets = Baskets::open(arguments.load.orders.as_deref(), None)?;
    let config = StackConfig {
        engines: arguments.stack.engines.engines(),
        ..StackConfig::on_free_ports(data_dir, CatalogueSource::Text(baskets.catalogue(ORDERS)?))
    };
    let stack = tokio::select! {
        stack = Stack::start(config) => stack?,
        () = interrupt.stop.cancelled() => bail!("interrupted while the stack was starting"),
    };
    println!(
        "no --target: a stack of its own, with data and logs in {}",
        stack.data_dir().display()
    );
    tokio::select! {
        report = on_stack(stack, arguments, interrupt.stop.clone()) => report,
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    }
}

async fn on_stack(
    stack: Stack,
    arguments: &RunArguments,
    stop: CancellationToken,
) -> Result<LoadReport> {
    let report = measured_and_audited(&stack, arguments, stop).await;
    stack.stop().await;
    report
}

async fn measured_and_audited(
    stack: &Stack,
    arguments: &RunArguments,
    stop: CancellationToken,
) -> Result<LoadReport> {
    let own = stack.data_dir().join(JOURNAL);
    let journal = arguments.report.journal.as_ref().unwrap_or(&own);
    let targets = stack.addresses().order_urls();
    let target = TargetArguments::plain(targets.clone());
    let session = LoadSession::open(&target, Some(journal), arguments, stop).await?;
    let mut report = session.report(&targets, arguments).await?;
    if matches!(report.end, RunEnd::JournalFailed(_)) {
        // Orders that the journal lacks would be violations.
        return Ok(report);
    }
    println!("waiting until every order is final, then auditing");
    let limits = Limits {
        // Only counted: on a busy machine a lease may expire, and its events are published again.
        wire_duplicates: None,
        set_aside: Some(0),
        ..Limits::default()
    };
    let audit = audit::of_the_stopped(stack, Some(journal), limits, SETTLE).await?;
    report.audit = Some(audit);
    Ok(report)
}
