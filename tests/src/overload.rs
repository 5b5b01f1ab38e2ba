//! `make overload`: what becomes of accepted work when three times as much is asked for as order-service can do.
//!
//! ```text
//! order-service alone ─▶ rising steps, until it strains ─▶ rounds of: unloaded, sustainable, overloaded ─▶ verdict
//! ```
//!
//! All loads are open loops ([`crate::open_loop`]), and come in turn, round by round, so that a change of the machine's
//! speed hits all of them. Quote the medians over the rounds and their ratios.
//!
//! What must hold:
//!
//! * Accepted work keeps its latency: p99 of accepted calls under overload is at most twice that of an unloaded service.
//! * Refusals are fast: p99 of refused calls is below 10 ms.
//!
//! There is no broker, so nothing is ever published and the outbox grows, by every order that is accepted. A commit does
//! not read the outbox, and the relay holds a window of fixed size, so what has been accepted does not slow what comes;
//! the rounds show it, for the unloaded service is measured again in each. The limits on
//! the backlog, which would end the measurement, are out of reach ([`crate::alone`]). The backlog is in the report.
//!
//! Reading order: `bench` (one load on one service), `sustainable` (how much it can do), `verdict`, `report`.

mod bench;
mod report;
mod sustainable;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use postgres_server::Server;

use self::bench::Bench;
use self::report::{Report, Round};
use crate::alone::Alone;
use crate::demo::positive_rate;
use crate::open_loop::schedule::Arrivals;
use crate::stack::DatabaseEngine;

/// The database on the PostgreSQL server.
const DATABASE: &str = "overload";

/// Offer order-service three times what it can do, and measure the calls that it accepts.
#[derive(Clone, Debug, Parser)]
#[command(name = "overload", version)]
pub struct OverloadArguments {
    /// The database of order-service.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: DatabaseEngine,

    /// A setting of order-service; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,

    /// Orders per second that count as sustainable [default: found by rising steps].
    #[arg(long, value_name = "R", value_parser = positive_rate)]
    sustainable: Option<f64>,

    /// A load is sustained while p99 of its orders is below so many milliseconds, and nothing is refused.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    p99: u64,

    /// The unloaded service gets so many hundredths of the sustainable load.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    unloaded: u32,

    /// The overloaded service gets so many times the sustainable load.
    #[arg(long, value_name = "TIMES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    overloaded: u32,

    /// Measurements of each load.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Length of one measurement; a step of the search takes half of it.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,

    /// How calls are spread over time.
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Arrivals,

    /// Connections that the calls share.
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,

    /// Maximum calls in flight; further calls are dropped and reported.
    #[arg(long, value_name = "N", default_value_t = 8_192)]
    outstanding: usize,

    /// Deadline of a call in milliseconds, sent to the service.
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,

    /// Write the figures of the report to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Fail when a bound does not hold.
    #[arg(long)]
    check: bool,
}

/// Runs the program.
///
/// # Errors
/// When order-service does not start or ends, when it sustains no load at all, and with `--check` when a bound does not
/// hold.
pub async fn run(arguments: OverloadArguments) -> Result<()> {
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

async fn measure(bench: &mut Bench) -> Result<Report> {
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
        rounds.push(Round {
            unloaded: bench.offer(unloaded, length).await?,
            sustainable: bench.offer(sustainable, length).await?,
            overloaded: bench.offer(overloaded, length).await?,
        });
    }
    Ok(Report {
        backlog: bench.service().backlog().await?,
        arguments,
        sustainable,
        limit,
        rounds,
    })
}

impl OverloadArguments {
    /// PostgreSQL as in production, if it is asked for; it has to live as long as the service.
    fn postgres(&self) -> Result<Option<Server>> {
        if self.database == DatabaseEngine::Sqlite {
            return Ok(None);
        }
        let server = Server::start_durable()?;
        server.create_database(DATABASE)?;
        Ok(Some(server))
    }

    /// The settings of order-service.
    fn settings(&self, postgres: Option<&Server>) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let Some(server) = postgres {
            settings.push(("DATABASE_URL".to_owned(), server.url(DATABASE)));
            settings.push(("DATABASE_MIGRATE".to_owned(), "true".to_owned()));
        }
        // Last, so that they win.
        settings.extend(self.settings.iter().cloned());
        settings
    }
}

fn setting(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    ensure!(!name.is_empty(), "expected NAME=VALUE");
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_value_which_may_be_empty_or_hold_signs() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());

        assert_eq!(setting("A=1").ok(), Some(pair("A", "1")));
        assert_eq!(setting("A=").ok(), Some(pair("A", "")));
        assert_eq!(setting("A=b=c").ok(), Some(pair("A", "b=c")));
        assert!(setting("A").is_err());
        assert!(setting("=1").is_err());
    }

    #[test]
    fn what_is_set_by_hand_wins() {
        let arguments = ["overload", "--set", "COMMIT_QUEUE=200"];
        let arguments = OverloadArguments::try_parse_from(arguments).unwrap();

        let settings = arguments.settings(None);

        let last = settings
            .last()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(last, Some(("COMMIT_QUEUE", "200")));
    }
}
