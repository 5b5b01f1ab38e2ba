//! `make load`: load-tests order-service, alone or in any deployment.
//!
//! ```text
//! arguments ─▶ session: target, TLS, token ─▶ run: warm-up, then counted calls ─▶ outcomes of watched orders ─▶ report
//!                 └─ own_stack: a stack for the run, and the audit                     text, JSON, page, .hgrm, exit code
//! ```
//!
//! * **Open loop**: a call is due by the schedule, whether or not earlier ones are answered, and its latency counts from
//!   then. The latency from the actual send is kept beside it as the naive figure: with calls in flight bounded, as in
//!   any client with a connection pool, a stall of the target delays sends, which the naive figure hides.
//! * **Two latencies of an order**: to its confirmation, which every call has, and to its outcome, for the share of
//!   orders that is watched.
//! * **The tool measures itself**: how late it began its calls. Was it late, the run is no measurement.
//! * **Every run ends with a report**, also one that is interrupted, whose target dies, or whose journal cannot be
//!   written.
//! * Clocks: latencies and the journal use the monotonic clock; a step of the wall clock changes no figure.
//!
//! Reading order: [`arguments`](OrdersLoadArguments), then `schedule`, `mix`, `slo`, `quantity` (what can be asked for);
//! `target`, `baskets`, `trace`, `caller`, `known_orders`, `watchers` (one call, one watch); `plan`, `run`, `recorder`, `figures`
//! (one measurement); `session`, `knee`, `own_stack` (what a run is made of); `live`, `report`, `compare` (what is seen of
//! it). The pacing is in [`open_loop`](crate::open_loop), the page in [`page`](crate::page).

mod arguments;

mod mix;
mod quantity;
mod schedule;
mod slo;

mod baskets;
mod caller;
mod known_orders;
mod target;
mod trace;
mod watchers;

mod figures;
mod plan;
mod recorder;
mod run;

mod knee;
mod own_stack;
mod session;

mod compare;
mod live;
mod report;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

pub use self::arguments::OrdersLoadArguments;
use self::arguments::{CatalogueArguments, LoadCommand, RunArguments};
use self::baskets::Baskets;
use self::report::LoadExit;
use self::session::LoadSession;
use crate::stack::interrupt::Interrupt;

/// Runs the program; prints the report or the error, and returns the exit code.
pub async fn run(arguments: OrdersLoadArguments) -> ExitCode {
    let exit = match &arguments.command {
        Some(LoadCommand::Compare(files)) => compare::run(files).map(|()| LoadExit::Done),
        Some(LoadCommand::Catalogue(orders)) => print_catalogue(orders).map(|()| LoadExit::Done),
        None => load(&arguments.run).await,
    };
    match exit {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("orders-load: {error:#}");
            LoadExit::Usage.into()
        }
    }
}

fn print_catalogue(arguments: &CatalogueArguments) -> Result<()> {
    let baskets = Baskets::open(arguments.orders.as_deref(), None)?;
    let catalogue = baskets.catalogue(arguments.count)?;
    let printed = std::io::stdout().write_all(catalogue.as_bytes());
    printed.context("cannot print the catalogue")
}

async fn load(arguments: &RunArguments) -> Result<LoadExit> {
    // Contradicting options are reported before anything is started.
    arguments.plan()?;
    let interrupt = Interrupt::listen()?;
    let targets = &arguments.target.targets;
    let report = if targets.is_empty() {
        own_stack::run(arguments, &interrupt).await?
    } else {
        let journal = arguments.report.journal.as_deref();
        let session = LoadSession::open(
            &arguments.target,
            journal,
            arguments,
            interrupt.stop.clone(),
        )
        .await?;
        tokio::select! {
            report = session.report(targets, arguments) => report?,
            () = interrupt.kill.cancelled() => anyhow::bail!("killed before the report"),
        }
    };
    println!("{report}");
    report.write(&arguments.report)?;
    Ok(report.exit())
}
