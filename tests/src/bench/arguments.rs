//! The command line of `bench`, and the sizes that follow from it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::grow::GrowParameter;
use super::neighbours::NeighboursArguments;
use super::overload::OverloadArguments;
use super::telemetry_cost::TelemetryCostArguments;

/// Measure the pair and print its figures beside their targets.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version, args_conflicts_with_subcommands = true)]
pub struct BenchArguments {
    #[command(subcommand)]
    pub(super) study: Option<Study>,

    /// Shorter rounds: at most four minutes in all.
    #[arg(long)]
    quick: bool,

    /// Only these measurements.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,…")]
    only: Vec<Measurement>,

    /// Calls in flight of the confirmations.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    callers: u16,

    /// Measurements of each figure [default: 5, with --quick 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Orders of each backlog that is drained [default: 100000, with --quick 6000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    backlog: Option<u64>,

    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Show how throughput and CPU time per order depend on these parameters, instead of all figures.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARAMETER,…")]
    pub(super) grow: Vec<GrowParameter>,

    /// Write tables and plots of --grow as a page to this file.
    #[arg(long, value_name = "FILE", requires = "grow")]
    pub(super) html: Option<PathBuf>,

    /// Values of one parameter [default: from its smallest to its largest useful value].
    #[arg(long, value_delimiter = ',', value_name = "N,…", requires = "grow")]
    pub(super) values: Vec<u64>,

    /// Directory for databases, journal and logs; the data of an earlier run is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/bench")]
    pub(super) data_dir: PathBuf,
}

/// A question with a report of its own, instead of the figures.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Study {
    Overload(OverloadArguments),
    Neighbours(NeighboursArguments),
    TelemetryCost(TelemetryCostArguments),
}

/// One file of this module each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Measurement {
    /// Durable confirmations beside empty calls; order-service alone.
    Confirmations,
    /// Orders to their final state, and what they cost.
    EndToEnd,
    /// From the commit of an order to the broker's acknowledgement of its event.
    Relay,
    /// Backlogs of the relay, of both consumers, and of the whole system.
    Drain,
    /// From the call to the final state, in an open loop.
    Latency,
    /// From the start of a process until it is ready.
    Start,
}

/// How much is measured per round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) rounds: u32,
    /// Calls in flight of each closed loop of confirmations, and its length.
    pub(super) callers: usize,
    pub(super) confirmations: Duration,
    /// Orders before each measurement to the end: connections are open, partitions assigned, plans cached.
    pub(super) warm_up: u64,
    /// Orders of each measurement to the end.
    pub(super) orders: u64,
    /// The same with every order watched, which is slower.
    pub(super) watched: u64,
    /// Each open loop.
    pub(super) latency: Duration,
    pub(super) backlog: u64,
}

impl Sizes {
    pub(super) const FULL: Self = Self {
        rounds: 5,
        callers: 256,
        confirmations: Duration::from_secs(3),
        warm_up: 3_000,
        orders: 20_000,
        watched: 10_000,
        latency: Duration::from_secs(15),
        backlog: 100_000,
    };

    pub(super) const QUICK: Self = Self {
        rounds: 2,
        callers: 256,
        confirmations: Duration::from_millis(1_500),
        warm_up: 1_000,
        orders: 6_000,
        watched: 2_000,
        latency: Duration::from_secs(4),
        backlog: 6_000,
    };
}

impl BenchArguments {
    pub(super) fn sizes(&self) -> Sizes {
        let sizes = if self.quick {
            Sizes::QUICK
        } else {
            Sizes::FULL
        };
        Sizes {
            rounds: self.rounds.unwrap_or(sizes.rounds),
            callers: usize::from(self.callers),
            backlog: self.backlog.unwrap_or(sizes.backlog),
            ..sizes
        }
    }

    pub(super) fn has(&self, measurement: Measurement) -> bool {
        self.only.is_empty() || self.only.contains(&measurement)
    }
}

impl Measurement {
    /// On Apache Kafka and PostgreSQL, in this order in each round.
    pub(super) const ON_A_STACK: [Self; 5] = [
        Self::EndToEnd,
        Self::Relay,
        Self::Drain,
        Self::Latency,
        Self::Start,
    ];
}

impl fmt::Display for Measurement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Confirmations => "confirmations",
            Self::EndToEnd => "end-to-end",
            Self::Relay => "relay",
            Self::Drain => "drain",
            Self::Latency => "latency",
            Self::Start => "start",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_leaves_the_other_measurements_out() {
        let arguments = ["bench", "--quick", "--only", "relay,end-to-end"];
        let arguments = BenchArguments::try_parse_from(arguments).unwrap();

        let selected = Measurement::ON_A_STACK.map(|one| arguments.has(one));

        assert_eq!(selected, [true, true, false, false, false]);
        assert!(!arguments.has(Measurement::Confirmations));
    }

    #[test]
    fn a_study_has_its_own_options_and_none_of_the_measurements() {
        let parse = |line: &str| BenchArguments::try_parse_from(line.split(' '));

        let study = parse("bench overload --rounds 1").unwrap().study;

        assert!(matches!(study, Some(Study::Overload(_))), "{study:?}");
        assert!(parse("bench --quick overload").is_err());
        assert!(parse("bench overload --quick").is_err());
    }

    #[test]
    fn an_option_overrides_the_size_of_a_quick_run() {
        let arguments = ["bench", "--quick", "--rounds", "1", "--backlog", "1000000"];
        let arguments = BenchArguments::try_parse_from(arguments).unwrap();

        let sizes = arguments.sizes();

        assert_eq!((sizes.rounds, sizes.backlog), (1, 1_000_000));
        assert_eq!(sizes.orders, Sizes::QUICK.orders);
    }
}
