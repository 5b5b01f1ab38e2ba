//! `local-stack demo`: a fresh stack, real orders, their outcomes, and the audit.
//!
//! ```text
//! fresh data directory → stack with the catalogue of the orders → replay → settle → stop the pair → audit → stop → report, a trace
//! ```
//!
//! The stack is stopped in order whatever the result of replay and audit, and also on Ctrl-C; a second Ctrl-C kills it.

pub(crate) mod fresh_directory;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use auditor::Limits;
use clap::Args;
use tokio::sync::broadcast::error::RecvError;

use crate::audit;
use crate::orders::{OrderBook, SAMPLE};
use crate::replay::progress::Progress;
use crate::replay::summary::Summary;
use crate::replay::tally::Tally;
use crate::replay::{self, ReplayPlan, Trouble, WaitLimits};
use crate::report::ReplayReport;
use crate::stack::interrupt::Interrupt;
use crate::stack::{Notice, Stack, StackOptions};
use crate::waterfall::observation::Observation;
use crate::waterfall::{self, svg, text};

/// Default data directory: below the directory that `make` runs in.
const DATA_DIRECTORY: &str = ".local/demo";

/// File name of the journal in the data directory.
const JOURNAL: &str = "journal.jsonl";

/// Maximum time until the last event is published and applied, including a restart of the broker.
const SETTLE: Duration = Duration::from_secs(60);

/// Replay real orders through a fresh stack and audit their outcomes.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// CSV file of invoices with the columns of the Online Retail data set.
    #[arg(long, value_name = "FILE", default_value = SAMPLE, hide_default_value = true)]
    orders: PathBuf,

    /// Place the first N orders; beyond the end of the file it is repeated [default: all, once].
    #[arg(long, value_name = "N", value_parser = positive_count)]
    count: Option<usize>,

    /// Place R orders per second, on time without waiting for answers [default: as fast as the callers can].
    #[arg(long, value_name = "R", value_parser = positive_rate)]
    rate: Option<f64>,

    /// Calls in flight.
    #[arg(long, value_name = "N", default_value = "32", value_parser = positive_count)]
    concurrency: usize,

    /// Write the report's figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw the trace of a typical order into this file.
    #[arg(long, value_name = "FILE", conflicts_with = "otlp")]
    trace_svg: Option<PathBuf>,

    #[command(flatten)]
    stack: StackOptions,
}

/// Runs the demo.
///
/// # Errors
/// When the stack does not start or stop cleanly, when the run was interrupted, or when the report does not pass.
pub async fn run(arguments: DemoArguments) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let book = Arc::new(OrderBook::open(&arguments.orders)?);
    let count = arguments.count.unwrap_or(book.len());
    let default = Path::new(DATA_DIRECTORY);
    fresh_directory::prepare(arguments.stack.data_dir().unwrap_or(default))?;
    let catalogue = book.catalogue(count).to_csv()?;
    let mut config = arguments.stack.clone().into_config(default, catalogue);
    config.sampling.get_or_insert(sampling(count));
    let observation = Observation::of(&mut config).await?;
    let stack = tokio::select! {
        stack = Stack::start(config) => stack?,
        () = interrupt.stop.cancelled() => bail!("interrupted while the stack was starting"),
    };
    let plan = plan(&arguments, book, count, &stack);
    tokio::select! {
        result = run_on(stack, plan, &arguments, &interrupt) => {
            show_an_order(&observation, arguments.trace_svg.as_deref())?;
            result
        }
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    }
}

/// Enough traces to choose a median one from, and few enough not to slow the demo.
fn sampling(count: usize) -> f64 {
    const ORDERS: f64 = 200.0;
    (ORDERS / count as f64).min(1.0)
}

/// Prints the trace of an order of median duration, if one was recorded here.
fn show_an_order(observation: &Observation, picture: Option<&Path>) -> Result<()> {
    let Some(trace) = observation.typical_order() else {
        return Ok(());
    };
    let rows = waterfall::rows(&trace);
    println!(
        "\nThe trace of an order of median duration:\n\n{}",
        text::render(&rows, text::width_of_terminal())
    );
    if let Some(path) = picture {
        let written = fs::write(path, svg::render(&rows));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn plan(
    arguments: &DemoArguments,
    orders: Arc<OrderBook>,
    count: usize,
    stack: &Stack,
) -> ReplayPlan {
    ReplayPlan {
        addresses: stack.addresses().order_urls(),
        orders,
        count,
        rate: arguments.rate,
        concurrency: arguments.concurrency,
        journal: stack.data_dir().join(JOURNAL),
        wait_limits: WaitLimits::default(),
        trouble: Trouble::default(),
    }
}

async fn run_on(
    stack: Stack,
    plan: ReplayPlan,
    arguments: &DemoArguments,
    interrupt: &Interrupt,
) -> Result<()> {
    println!(
        "placing {} orders at {}; data and logs are in {}",
        plan.count,
        plan.addresses.join(", "),
        stack.data_dir().display()
    );
    let report = replay_and_audit(&stack, plan, interrupt).await;
    let unclean = stop(stack).await;
    let report = report?;
    println!("\n{report}");
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    ensure!(report.passed(), "the run did not pass");
    ensure!(unclean.is_empty(), "{}", unclean.join("; "));
    ensure!(!interrupt.stop.is_cancelled(), "the run was interrupted");
    Ok(())
}

async fn replay_and_audit(
    stack: &Stack,
    plan: ReplayPlan,
    interrupt: &Interrupt,
) -> Result<ReplayReport> {
    let journal = plan.journal.clone();
    let summary = replay(stack, plan, interrupt).await?;
    let restarts = restarts(stack);
    let limits = Limits {
        // A user may kill a process by hand; then events may be published again.
        wire_duplicates: (stack.restarts() == 0).then_some(0),
        set_aside: Some(0),
        ..Limits::default()
    };
    let audit = audit::of_the_stopped(stack, Some(&journal), limits, SETTLE).await?;
    Ok(ReplayReport {
        summary,
        restarts,
        audit,
    })
}

async fn replay(stack: &Stack, plan: ReplayPlan, interrupt: &Interrupt) -> Result<Summary> {
    let tally = Arc::new(Tally::new()?);
    let progress = Progress::new(tally.clone(), plan.count)?;
    let summary = tokio::select! {
        summary = replay::run(plan, tally, interrupt.stop.clone()) => summary,
        // Both futures never complete.
        () = progress.run() => bail!("the progress display ended"),
        () = show_notices(stack, &progress, interrupt) => bail!("the notices ended"),
    };
    progress.finish();
    summary
}

/// Prints process events; when a process is given up, the replay is stopped, because it cannot continue.
async fn show_notices(stack: &Stack, progress: &Progress, interrupt: &Interrupt) {
    let mut notices = stack.notices();
    loop {
        match notices.recv().await {
            Ok(notice) => {
                progress.note(&notice.to_string());
                if matches!(notice, Notice::GivenUp(..)) {
                    interrupt.stop.cancel();
                }
            }
            // Only lines of output are lost.
            Err(RecvError::Lagged(_)) => {}
            // Cannot happen while the stack exists.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn restarts(stack: &Stack) -> BTreeMap<String, u32> {
    let restarts = stack
        .all_processes()
        .map(|process| (process.to_string(), stack.state(process).restarts));
    restarts.collect()
}

/// Stops everything in order and returns the processes that did not stop cleanly.
async fn stop(stack: Stack) -> Vec<String> {
    let endings = stack.stop().await.into_iter();
    let unclean = endings.filter(|(_, ending)| !ending.is_clean());
    unclean
        .map(|(process, ending)| format!("{process} did not stop cleanly: {ending}"))
        .collect()
}

fn positive_count(text: &str) -> Result<usize> {
    let count = text.parse().context("expected a whole number")?;
    ensure!(count > 0, "expected at least 1");
    Ok(count)
}

pub(crate) fn positive_rate(text: &str) -> Result<f64> {
    let rate: f64 = text.parse().context("expected a number")?;
    ensure!(
        (0.001..=1_000_000.0).contains(&rate),
        "expected a rate from 0.001 to 1000000 per second"
    );
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_counts_and_rates_are_refused() {
        assert_eq!(positive_count("5").ok(), Some(5));
        assert_eq!(positive_rate("0.5").ok(), Some(0.5));
        for text in ["0", "-1", "", "x", "NaN", "inf"] {
            assert!(positive_count(text).is_err(), "{text}");
            assert!(positive_rate(text).is_err(), "{text}");
        }
    }
}
