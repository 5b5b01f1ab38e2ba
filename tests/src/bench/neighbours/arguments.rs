//! The command line of `bench neighbours`.

use std::path::PathBuf;

use clap::Parser;

use crate::chaos::plan::EngineSet;
use crate::demo::positive_rate;

/// Load the stack while processing-service is healthy, stopped, frozen and slow, and report the effect on clients.
#[derive(Clone, Debug, Parser)]
pub(in crate::bench) struct NeighboursArguments {
    /// The engines: the embedded broker and SQLite, or Apache Kafka and PostgreSQL with two replicas each.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(super) engines: EngineSet,

    /// Orders per second, sent on time without waiting for answers.
    #[arg(long, value_name = "R", default_value = "100", value_parser = positive_rate)]
    pub(super) rate: f64,

    /// Length of each phase.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seconds: u64,

    /// Deadline of a call in milliseconds, also sent to the service.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) deadline: u64,

    /// Write the report's figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Directory for databases, journal and logs; the data of an earlier run is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/neighbours")]
    pub(super) data_dir: PathBuf,
}
