//! `make bench ARGS=overload`: accepted and refused calls of order-service at three times its sustainable load.
//!
//! ```text
//! order-service alone ─▶ rising steps, until a bound is exceeded ─▶ rounds of: unloaded, sustainable, overloaded ─▶ verdict
//! ```
//!
//! All loads are open loops ([`crate::open_loop`]) and alternate round by round, so that a change of the machine's
//! speed affects all of them. Quote the medians over the rounds and their ratios.
//!
//! Requirements:
//!
//! * Accepted work keeps its latency: p99 of accepted calls under overload is at most twice that of an unloaded service.
//! * Refusals are fast: p99 of refused calls is below 10 ms.
//!
//! There is no broker, so events are never published and the outbox grows with every accepted order. A commit does not
//! read the outbox, and the relay holds a window of fixed size, so the backlog does not slow new orders; the rounds
//! show this, because the unloaded service is measured again in each. The limits on the backlog, which would end the
//! measurement, are set out of reach ([`crate::alone`]). The backlog is in the report.
//!
//! Reading order: `bench` (one load on one service), `sustainable` (search for the sustainable load), `verdict`,
//! `report`.

mod arguments;
mod bench;
mod report;
mod sustainable;
mod verdict;

use std::time::Duration;

use anyhow::{Result, ensure};

pub(super) use self::arguments::OverloadArguments;
use self::bench::Bench;
use self::report::{OverloadReport, OverloadRound};
use crate::alone::Alone;

/// Runs the program.
///
/// # Errors
/// When order-service does not start or ends, when it sustains no load at all, and with `--check` when a bound does not
/// hold.
pub(super) async fn run(arguments: OverloadArguments) -> Result<()> {
    let postgres = arguments.postgres()?;
    let service = Alone::start(&arguments.settings(postgres.as_ref())).await?;
    let mut bench = Bench::new(service, arguments.clone()).await?;
    let report = measure(&mut bench).await?;
    println!("\n{report}");
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    let verdict = report.verdict();
    ensure!(verdict.holds() || !arguments.check, "a bound does not hold");
    Ok(())
}

async fn measure(bench: &mut Bench) -> Result<OverloadReport> {
    let arguments = bench.arguments().clone();
    let (sustainable, limit) = match arguments.sustainable {
        Some(per_second) => (per_second, None),
        None => {
            let found = sustainable::find(bench).await?;
            (found.per_second, Some(found.limit))
        }
    };
    let length = Duration::from_secs(arguments.seconds);
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        let unloaded = sustainable * f64::from(arguments.unloaded) / 100.0;
        let overloaded = sustainable * f64::from(arguments.overloaded);
        rounds.push(OverloadRound {
            unloaded: bench.offer(unloaded, length).await?,
            sustainable: bench.offer(sustainable, length).await?,
            overloaded: bench.offer(overloaded, length).await?,
        });
    }
    Ok(OverloadReport {
        backlog: bench.service().backlog().await?,
        arguments,
        sustainable,
        limit,
        rounds,
    })
}
