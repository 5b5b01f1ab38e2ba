//! The command line of `chaos`.

use std::path::PathBuf;

use clap::Parser;

use super::plan::EngineSet;

/// Load the pair with real orders, inject faults according to a plan, and audit the result.
#[derive(Clone, Debug, Parser)]
#[command(name = "chaos", version)]
pub struct ChaosArguments {
    /// How long orders are placed.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(10..))]
    pub(super) seconds: u64,

    /// The engines: the embedded broker and SQLite, or Apache Kafka and PostgreSQL with two replicas each.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(super) engines: EngineSet,

    /// Seed of the fault plan [default: a random number].
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,

    /// Orders per second, sent on time without waiting for answers.
    #[arg(long, value_name = "R", default_value = "40", value_parser = crate::demo::positive_rate)]
    pub(super) rate: f64,

    /// Only print the plan.
    #[arg(long)]
    pub(super) plan: bool,

    /// Write the report's figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Directory for databases, journal and logs; the data of an earlier run is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/chaos")]
    pub(super) data_dir: PathBuf,
}
