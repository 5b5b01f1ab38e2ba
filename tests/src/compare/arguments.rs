//! The command line of `compare`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use super::way::Way;
use crate::stack::{BrokerEngine, DatabaseEngine, Engines};

/// Run the same orders synchronously, asynchronously and both, through the same disturbances, and compare what users saw.
#[derive(Clone, Debug, Parser)]
#[command(name = "compare", version)]
pub struct CompareArguments {
    /// The Kafka broker: `embedded`, or `apache` for Apache Kafka (see `make apache-kafka`).
    #[arg(long, value_name = "BROKER", default_value_t = BrokerEngine::Embedded)]
    kafka: BrokerEngine,

    /// The databases: SQLite files, or a PostgreSQL server from the installed binaries.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: DatabaseEngine,

    /// Less than three minutes instead of fifteen: shorter loads and outages, and less exact figures.
    #[arg(long)]
    pub(super) quick: bool,

    /// Run only this way; may be repeated. Without it all four run, and only then a comparison is written.
    #[arg(long = "way", value_enum, value_name = "WAY")]
    ways: Vec<Way>,

    /// Write the page to this file. Its links to the source are relative: they work in the repository.
    #[arg(long, value_name = "FILE", default_value = ".local/compare.html")]
    pub(super) html: PathBuf,

    /// Write the figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Directory for databases and logs; the data of an earlier run is removed.
    #[arg(long, value_name = "DIR", default_value = ".local/compare")]
    pub(super) data_dir: PathBuf,
}

impl CompareArguments {
    /// The engines of the run.
    ///
    /// # Errors
    /// When the broker is not one of the stack: it is killed during the run.
    pub(super) fn engines(&self) -> Result<Engines> {
        if let BrokerEngine::External(address) = &self.kafka {
            bail!("--kafka {address}: the broker is killed during the run; use embedded or apache");
        }
        Ok(Engines {
            broker: self.kafka.clone(),
            database: self.database,
            replicas: 1,
        })
    }

    /// The requested ways, each once and in the order of the report.
    pub(super) fn ways(&self) -> Vec<Way> {
        let is_requested = |way: &Way| self.ways.is_empty() || self.ways.contains(way);
        Way::ALL.into_iter().filter(is_requested).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_must_not_be_killed_is_refused() {
        let external = CompareArguments::parse_from(["compare", "--kafka", "kafka:9092"]);
        let embedded = CompareArguments::parse_from(["compare"]);

        let message = external.engines().unwrap_err().to_string();

        assert!(
            message.contains("kafka:9092") && message.contains("apache"),
            "{message}"
        );
        assert!(embedded.engines().is_ok());
    }

    #[test]
    fn all_ways_run_unless_some_are_named() {
        let all = CompareArguments::parse_from(["compare"]);
        let two =
            CompareArguments::parse_from(["compare", "--way", "hybrid", "--way", "sync-only"]);

        assert_eq!(all.ways(), Way::ALL);
        assert_eq!(two.ways(), [Way::SyncOnly, Way::Hybrid]);
    }
}
