//! The command line of `orders-load`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};

use super::compare::CompareArguments;
use super::mix::Mix;
use super::plan::{LoadPace, LoadPlan};
use super::quantity::{duration, share};
use super::schedule::Schedule;
use super::slo::Objectives;
use super::target::TargetArguments;
use crate::chaos::plan::EngineSet;
use crate::open_loop::Arrivals;

const LENGTH: Duration = Duration::from_secs(30);

/// Of one step of `--find-knee`.
const STEP_LENGTH: Duration = Duration::from_secs(5);

/// With a count and no duration, the count ends a run whose rate is the same all the time.
const WEEK: Duration = Duration::from_secs(7 * 86_400);

const RATE: f64 = 100.0;

/// Load-test order-service: latency from the intended send time, time to outcome, objectives, and an audit.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "orders-load",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 done; 1 an objective is broken; 2 wrong usage, or the target cannot be reached; 3 not a measurement: \
                  the tool was the limit, or nothing was counted; 4 ended early, with a report until then; 5 the audit is red."
)]
pub struct OrdersLoadArguments {
    #[command(subcommand)]
    pub(super) command: Option<LoadCommand>,

    #[command(flatten)]
    pub(super) run: RunArguments,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum LoadCommand {
    Compare(CompareArguments),
    Catalogue(CatalogueArguments),
}

/// Print a catalogue.csv for processing-service that has the goods of the orders in stock.
#[derive(Clone, Debug, Args)]
pub(super) struct CatalogueArguments {
    /// CSV file of invoices [default: the sample].
    #[arg(long, value_name = "FILE")]
    pub(super) orders: Option<PathBuf>,

    /// Stock for this many orders.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) count: usize,
}

#[derive(Clone, Debug, Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) target: TargetArguments,

    #[command(flatten)]
    pub(super) load: LoadArguments,

    #[command(flatten)]
    pub(super) stack: StackArguments,

    #[command(flatten)]
    pub(super) report: ReportArguments,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArguments {
    /// Calls per second over time: constant:200/s, ramp:10/s..500/s, step:100/s..500/s/5, spike:100/s..500/s, or
    /// file:PATH with a line such as `30s 100/s..500/s` per stage [default: constant:100/s].
    #[arg(long, value_name = "SCHEDULE", conflicts_with = "callers", value_parser = parsed::<Schedule>)]
    schedule: Option<Schedule>,

    /// How calls are spread over time.
    #[arg(long, value_enum, default_value = "constant")]
    arrivals: Arrivals,

    /// A closed loop instead of a schedule: callers that call again when they are answered.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    callers: Option<u16>,

    /// Time of the counted calls [default: 30s; of a step of --find-knee 5s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Calls before the counted ones, at the first rate of the schedule.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    warm_up: Duration,

    /// End after this many counted calls. Without --duration a constant schedule and --callers have no other end; any
    /// other schedule also ends after its length.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Calls at the target at once; a call that is due beyond that waits, and its wait counts.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,

    /// Calls that wait; a call that is due beyond that is dropped, which counts as an error.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    queue: u32,

    /// Deadline of a call, from its send.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) deadline: Duration,

    /// Operations and their weights, of place, get, list, watch and cancel.
    #[arg(
        long,
        value_name = "MIX",
        default_value = "place=90,get=5,list=2,watch=2,cancel=1"
    )]
    mix: Mix,

    /// CSV file of invoices with the columns of the Online Retail data set [default: a sample of it].
    #[arg(long, value_name = "FILE")]
    pub(super) orders: Option<PathBuf>,

    /// Place every order for this customer, which a token may require.
    #[arg(long, value_name = "ID")]
    pub(super) customer: Option<String>,

    /// Share of the placed orders that are watched to their final state.
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    watch_share: f64,

    /// How long a watched order may take, from its confirmation.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) outcome_timeout: Duration,

    /// End early when calls have failed for this long without an answer between; 0s: never.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    patience: Duration,

    /// Share of the calls whose trace is recorded by a target that follows its caller.
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    sampling: f64,

    /// Raise the rate until an objective breaks; report the greatest rate at which all hold, and what the target does
    /// beyond it.
    #[arg(long, conflicts_with_all = ["schedule", "callers", "count"])]
    pub(super) find_knee: bool,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Stack of its own, without --target")]
pub(super) struct StackArguments {
    /// The embedded broker and SQLite, or Apache Kafka and PostgreSQL with two replicas of each service.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(super) engines: EngineSet,

    /// Directory for databases, journal and logs; the data of an earlier run is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/load")]
    pub(super) data_dir: PathBuf,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Objectives and outputs")]
pub(super) struct ReportArguments {
    /// Objectives, such as confirm.p99<50ms,errors<0.1%,outcome.p99<5s [default: none; with --find-knee
    /// confirm.p99<50ms,errors<0.1%].
    #[arg(long, value_name = "TERMS", value_parser = parsed::<Objectives>)]
    slo: Option<Objectives>,

    /// Write every call to this file, for `auditor check --journal`.
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,

    /// Write all figures to this file; docs/load.md describes them.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Write a page with plots to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Write the latencies as percentile texts of HdrHistogram into this directory.
    #[arg(long, value_name = "DIR")]
    pub(super) hgrm: Option<PathBuf>,
}

impl RunArguments {
    /// The plan of a run.
    ///
    /// # Errors
    /// When two options contradict each other.
    pub(super) fn plan(&self) -> Result<LoadPlan> {
        let load = &self.load;
        let schedule = load
            .schedule
            .clone()
            .unwrap_or_else(|| Schedule::constant(RATE));
        ensure!(
            load.duration.is_none() || load.callers.is_some() || !schedule.has_its_own_length(),
            "a file of stages has its own length: leave --duration out"
        );
        let usual = match load.count {
            _ if load.find_knee => STEP_LENGTH,
            Some(_) if load.callers.is_some() || schedule.is_constant() => WEEK,
            // Stretched over a week, a rate that changes would not change before the count is reached.
            _ => LENGTH,
        };
        let length = load.duration.unwrap_or(usual);
        ensure!(!length.is_zero(), "a run needs a duration");
        ensure!(!load.deadline.is_zero(), "a call needs a deadline");
        Ok(LoadPlan {
            pace: load.pace(schedule),
            warm_up: load.warm_up,
            length,
            count: load.count,
            in_flight: load.in_flight as usize,
            queue: load.queue as usize,
            mix: load.mix.clone(),
            watch_share: load.watch_share,
            sampling: load.sampling,
            patience: (!load.patience.is_zero()).then_some(load.patience),
        })
    }

    /// The objectives; a search for the knee needs some.
    ///
    /// # Errors
    /// Never with the built-in terms.
    pub(super) fn objectives(&self) -> Result<Objectives> {
        match &self.report.slo {
            Some(objectives) => Ok(objectives.clone()),
            None if self.load.find_knee => "confirm.p99<50ms,errors<0.1%".parse(),
            None => Ok(Objectives::default()),
        }
    }
}

/// With all causes of an error: the command line's own text has the first only.
fn parsed<T: FromStr<Err = anyhow::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{error:#}"))
}

impl LoadArguments {
    fn pace(&self, schedule: Schedule) -> LoadPace {
        match self.callers {
            Some(callers) => LoadPace::Closed {
                callers: usize::from(callers),
            },
            None => LoadPace::Open {
                schedule,
                arrivals: self.arrivals,
            },
        }
    }
}

#[cfg(test)]
mod tests;
