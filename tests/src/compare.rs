//! `make compare`: the same orders synchronously, asynchronously and both, through the same disturbances.
//!
//! ```text
//! for each way:   fresh stack ─▶ warm-up ─▶ calm ─▶ spike ─▶ slow downstream ─▶ … ─▶ stop       (hybrid: audit before)
//!                                           └ load in an open loop, a disturbance, until all outcomes are there
//! for each cell:  what users were told (ledger) + what was done (books) + what it cost (usage) ─▶ figures ─▶ sentences
//! ```
//!
//! The heavy work is the simulated payment provider, with a limited number of orders in work, so that the capacity is known and
//! the same for every way. All figures are from the users' side, except for the orders that were lost or doubled: those come from
//! the database of processing-service, and for the hybrid way also from the auditor.
//!
//! The sentences of the report are chosen by the figures: nothing is written down about what "should" be seen.
//!
//! Reading order: `way` and `ways` (the four ways behind one API), `scenario` (the table of disturbances), `order` (real orders),
//! `site` (the stack of a way), `users` (the open loop), `ledger`, `outcomes`, `books`, `usage` (what is noted), `course` (a way
//! through all scenarios), `cell` (the figures), `findings` (the sentences), `columns`, `text`, `html`, `report`.

mod arguments;

mod way;
mod ways;

mod scenario;

mod order;
mod site;
mod users;

mod books;
mod ledger;
mod outcomes;
mod redelivery;
mod usage;

mod course;

mod cell;
mod columns;
mod findings;

mod html;
mod report;
mod text;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use auditor::Limits;
use auditor::verdict::Verdict;

pub use self::arguments::CompareArguments;
use self::cell::Cell;
use self::course::WayRunner;
use self::order::StudyOrders;
use self::report::Study;
use self::scenario::Lengths;
use self::site::Site;
use self::way::Way;
use crate::audit;
use crate::demo::fresh_directory;
use crate::stack::Engines;
use crate::stack::interrupt::Interrupt;

/// Maximum time from the last order until the audit of the hybrid way may begin.
const QUIET: Duration = Duration::from_secs(60);

/// Runs the program. What was measured before an error or an interrupt is printed.
///
/// # Errors
/// When a stack does not start, when the run was interrupted, or when the audit is red.
pub async fn run(arguments: CompareArguments) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let engines = arguments.engines()?;
    let orders = StudyOrders::open()?;
    fresh_directory::prepare(&arguments.data_dir)?;
    println!("data and logs are in {}", arguments.data_dir.display());
    let cells = Mutex::default();
    let ran = tokio::select! {
        ran = run_ways(&arguments, &engines, &orders, &cells, &interrupt) => ran,
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    };
    let (audit, error) = match ran {
        Ok(audit) => (audit, None),
        Err(error) => (None, Some(error)),
    };
    let study = Study {
        engines: format!("{} broker, {}", engines.broker, engines.database),
        quick: arguments.quick,
        cells: cells.into_inner().unwrap_or_else(PoisonError::into_inner),
        audit,
    };
    report(&arguments, &study)?;
    if let Some(error) = error {
        return Err(error.context("the figures above are of a part of the run"));
    }
    ensure!(study.passed(), "the audit of the hybrid way is red");
    Ok(())
}

/// One way after the other, each on a stack of its own.
async fn run_ways(
    arguments: &CompareArguments,
    engines: &Engines,
    orders: &StudyOrders,
    cells: &Mutex<Vec<Cell>>,
    interrupt: &Interrupt,
) -> Result<Option<Verdict>> {
    let mut audit = None;
    for way in arguments.ways() {
        let data_dir = arguments.data_dir.join(way.name().replace([' ', ','], "-"));
        let starting = Site::start(way, engines.clone(), &data_dir, &orders.catalogue);
        let site = tokio::select! {
            site = starting => site?,
            () = interrupt.stop.cancelled() => bail!("interrupted while a stack was starting"),
        };
        let run = run_way(&site, orders, Lengths::of(arguments.quick), cells);
        let ran = tokio::select! {
            ran = run => ran,
            () = interrupt.stop.cancelled() => Err(anyhow!("the run was interrupted")),
        };
        site.stack.stop().await;
        audit = ran?.or(audit);
    }
    Ok(audit)
}

/// Runs all scenarios of a way; the hybrid one is audited at its end.
async fn run_way(
    site: &Site,
    orders: &StudyOrders,
    lengths: Lengths,
    cells: &Mutex<Vec<Cell>>,
) -> Result<Option<Verdict>> {
    WayRunner::new(site, orders, lengths)?.run(cells).await?;
    if site.way != Way::Hybrid {
        return Ok(None);
    }
    let limits = Limits {
        // Not limited: a broker that was killed gets records again, and a killed consumer reads them again.
        wire_duplicates: None,
        set_aside: Some(0),
        ..Limits::default()
    };
    let journal = site.journal_file();
    let audit = audit::of_the_stopped(&site.stack, Some(&journal), limits, QUIET).await?;
    Ok(Some(audit))
}

/// Prints the figures, and writes the files: the page only of a whole comparison.
fn report(arguments: &CompareArguments, study: &Study) -> Result<()> {
    if study.cells.is_empty() {
        return Ok(());
    }
    println!("\n{}", study.to_text());
    if let Some(path) = &arguments.json {
        study.write_json(path)?;
    }
    if study.is_whole() {
        html::write(study, &arguments.html)?;
        println!("the page is {}", arguments.html.display());
    }
    Ok(())
}
