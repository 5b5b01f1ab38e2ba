//! One chaos run: start the stack, place orders, inject faults, settle, audit.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arguments::ChaosArguments;
use super::course::{FaultRunner, FaultsOutcome};
use super::display::ChaosDisplay;
use super::inflict::{Saboteur, unclean};
use super::plan::FaultPlan;
use super::report::ChaosReport;
use super::verdict;
use crate::audit::settled;
use crate::demo::fresh_directory;
use crate::orders::{OrderBook, SAMPLE};
use crate::replay::summary::Summary;
use crate::replay::tally::Tally;
use crate::replay::{self, ReplayPlan, Trouble, WaitLimits};
use crate::stack::interrupt::Interrupt;
use crate::stack::{CatalogueSource, Notice, Service, Stack, StackConfig};

/// File name of the journal in the data directory.
const JOURNAL: &str = "journal.jsonl";

/// Calls in flight. A frozen replica holds its calls for up to 10 s; the others continue.
const CONCURRENCY: usize = 512;

/// Maximum time from the last order until all orders are final.
const QUIET: Duration = Duration::from_secs(180);

/// Maximum time until the last event is published and applied.
const SETTLE: Duration = Duration::from_secs(60);

/// State shared by the parts of a run.
struct Run<'a> {
    plan: &'a FaultPlan,
    stack: &'a Stack,
    tally: Arc<Tally>,
    trouble: Trouble,
    display: ChaosDisplay,
    interrupt: &'a Interrupt,
    /// Unexpected process exits, one sentence each.
    deaths: Mutex<Vec<String>>,
}

pub(super) async fn run(arguments: ChaosArguments, plan: FaultPlan) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let book = Arc::new(OrderBook::open(Path::new(SAMPLE))?);
    let count = (arguments.rate * plan.length.as_secs_f64()).ceil() as usize;
    fresh_directory::prepare(&arguments.data_dir)?;
    let config = config(&arguments.data_dir, &plan, book.catalogue(count).to_csv()?);
    let stack = tokio::select! {
        stack = Stack::start(config) => stack?,
        () = interrupt.stop.cancelled() => bail!("interrupted while the stack was starting"),
    };
    let trouble = Trouble::default();
    let orders = ReplayPlan {
        addresses: stack.addresses().order_urls(),
        orders: book,
        count,
        rate: Some(arguments.rate),
        concurrency: CONCURRENCY,
        journal: stack.data_dir().join(JOURNAL),
        wait_limits: WaitLimits {
            confirmation: plan.length + QUIET,
            outcome: plan.length + QUIET,
        },
        trouble: trouble.clone(),
    };
    println!("data and logs are in {}", stack.data_dir().display());
    let report = tokio::select! {
        report = on_stack(stack, &plan, orders, &interrupt) => report?,
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    };
    println!("\n{report}");
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    ensure!(!interrupt.stop.is_cancelled(), "the run was interrupted");
    ensure!(report.passed(), "the run did not pass");
    Ok(())
}

fn config(data_dir: &Path, plan: &FaultPlan, catalogue: String) -> StackConfig {
    StackConfig {
        engines: plan.engines.engines(),
        through_proxies: true,
        ..StackConfig::on_free_ports(data_dir, CatalogueSource::Text(catalogue))
    }
}

/// Runs the plan, and stops the stack in every case.
async fn on_stack(
    stack: Stack,
    plan: &FaultPlan,
    orders: ReplayPlan,
    interrupt: &Interrupt,
) -> Result<ChaosReport> {
    let tally = Arc::new(Tally::new()?);
    let run = Run {
        plan,
        stack: &stack,
        display: ChaosDisplay::new(tally.clone())?,
        tally,
        trouble: orders.trouble.clone(),
        interrupt,
        deaths: Mutex::default(),
    };
    let report = run.report(orders).await;
    drop(run);
    let unclean = unclean(stack.stop().await);
    let mut report = report?;
    report.problems.extend(unclean);
    Ok(report)
}

impl Run<'_> {
    async fn report(&self, orders: ReplayPlan) -> Result<ChaosReport> {
        let journal = orders.journal.clone();
        let (summary, outcome) = tokio::select! {
            result = self.orders_and_faults(orders) => result?,
            // Both futures never complete.
            () = self.display.run() => bail!("the display ended"),
            () = self.watch_processes() => bail!("the notices ended"),
        };
        self.display.finish();
        self.settle_and_audit(summary, outcome, &journal).await
    }

    /// Places all orders and injects all faults.
    async fn orders_and_faults(&self, orders: ReplayPlan) -> Result<(Summary, FaultsOutcome)> {
        let (stop_orders, stop_faults) = (CancellationToken::new(), CancellationToken::new());
        let start = Instant::now();
        let course = FaultRunner {
            plan: self.plan,
            stack: self.stack,
            saboteur: Saboteur {
                stack: self.stack,
                trouble: &self.trouble,
            },
            tally: &self.tally,
            display: &self.display,
            start,
            stop: stop_faults.clone(),
        };
        let replay = async {
            let summary = replay::run(orders, self.tally.clone(), stop_orders.clone()).await;
            // Faults are of no use once the orders have ended, also after an error.
            stop_faults.cancel();
            summary
        };
        let limits = async {
            tokio::select! {
                () = self.interrupt.stop.cancelled() => stop_faults.cancel(),
                () = tokio::time::sleep(self.plan.length + QUIET) => {}
            }
            stop_orders.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = async { tokio::try_join!(replay, course.run()) } => done,
            () = limits => bail!("the limits ended"),
        }
    }

    /// Waits until no work is in progress, stops the pair, and audits; broker and databases keep running for the audit.
    async fn settle_and_audit(
        &self,
        summary: Summary,
        outcome: FaultsOutcome,
        journal: &Path,
    ) -> Result<ChaosReport> {
        let is_settled = settled::wait(self.stack, SETTLE).await?;
        let mut problems = outcome.problems;
        problems.extend(self.deaths.lock().await.drain(..));
        if !is_settled {
            problems.push(format!("not everything was settled within {SETTLE:?}"));
        }
        let unclean = self.stop_pair().await;
        let was_clean = is_settled && unclean.is_empty();
        problems.extend(unclean);
        let audit = verdict::audit(self.stack, journal, was_clean).await?;
        Ok(ChaosReport {
            plan: self.plan.clone(),
            summary,
            inflicted: outcome.inflicted,
            echoed: outcome.echoed,
            wire: verdict::wire(&audit, outcome.echoed),
            restarts: self.stack.restarts(),
            problems,
            audit,
        })
    }

    /// Returns the processes that did not stop cleanly.
    async fn stop_pair(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for service in Service::PAIR {
            problems.extend(unclean(self.stack.stop_service(service).await));
        }
        problems
    }

    /// Records every unexpected process exit; a process that is given up ends the run.
    async fn watch_processes(&self) {
        let mut notices = self.stack.notices();
        loop {
            match notices.recv().await {
                Ok(Notice::Died(_, status)) if status.signal() == Some(Signal::SIGKILL as i32) => {}
                Ok(notice @ Notice::Restarted(..)) => self.display.note(&notice.to_string()),
                Ok(notice) => {
                    self.display.note(&notice.to_string());
                    self.deaths.lock().await.push(notice.to_string());
                    if matches!(notice, Notice::GivenUp(..)) {
                        self.interrupt.stop.cancel();
                    }
                }
                // Only lines of output are lost.
                Err(RecvError::Lagged(_)) => {}
                // Cannot happen while the stack exists.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
