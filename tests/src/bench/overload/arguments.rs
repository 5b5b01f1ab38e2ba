//! The command line of `bench overload`, and the settings of order-service that follow from it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use postgres_server::Server;

use crate::demo::positive_rate;
use crate::open_loop::Arrivals;
use crate::stack::DatabaseEngine;

/// The database on the PostgreSQL server.
const DATABASE: &str = "overload";

/// Offer order-service three times its sustainable load and measure the calls that it accepts.
#[derive(Clone, Debug, Parser)]
pub(in crate::bench) struct OverloadArguments {
    /// The database of order-service.
    #[arg(long, value_enum, default_value = "sqlite")]
    pub(super) database: DatabaseEngine,

    /// A setting of order-service; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(super) settings: Vec<(String, String)>,

    /// The sustainable load in orders per second [default: found by rising steps].
    #[arg(long, value_name = "R", value_parser = positive_rate)]
    pub(super) sustainable: Option<f64>,

    /// A load is sustained while p99 of its orders is below this number of milliseconds and nothing is refused.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(super) p99: u64,

    /// Load of the unloaded service in percent of the sustainable load.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) unloaded: u32,

    /// Load of the overloaded service in multiples of the sustainable load.
    #[arg(long, value_name = "TIMES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) overloaded: u32,

    /// Measurements of each load.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,

    /// Length of one measurement; a step of the search takes half of it.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seconds: u64,

    /// How calls are spread over time.
    #[arg(long, value_enum, default_value = "poisson")]
    pub(super) arrivals: Arrivals,

    /// Connections that the calls share.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) connections: usize,

    /// Maximum calls in flight; further calls are dropped and reported.
    #[arg(long, value_name = "N", default_value_t = 8_192)]
    pub(super) outstanding: usize,

    /// Deadline of a call in milliseconds, also sent to the service.
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) deadline: u64,

    /// Write the report's figures as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Fail when a bound does not hold.
    #[arg(long)]
    pub(super) check: bool,
}

impl OverloadArguments {
    /// PostgreSQL with production durability, if requested; it must live as long as the service.
    pub(super) fn postgres(&self) -> Result<Option<Server>> {
        if self.database == DatabaseEngine::Sqlite {
            return Ok(None);
        }
        let server = Server::start_durable()?;
        server.create_database(DATABASE)?;
        Ok(Some(server))
    }

    /// The settings of order-service.
    pub(super) fn settings(&self, postgres: Option<&Server>) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let Some(server) = postgres {
            settings.push(("DATABASE_URL".to_owned(), server.url(DATABASE)));
            settings.push(("DATABASE_MIGRATE".to_owned(), "true".to_owned()));
        }
        // Last, so that they override.
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
    fn the_value_of_a_setting_may_be_empty_or_contain_equals_signs() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());

        assert_eq!(setting("A=1").ok(), Some(pair("A", "1")));
        assert_eq!(setting("A=").ok(), Some(pair("A", "")));
        assert_eq!(setting("A=b=c").ok(), Some(pair("A", "b=c")));
        assert!(setting("A").is_err());
        assert!(setting("=1").is_err());
    }

    #[test]
    fn a_setting_from_the_command_line_wins() {
        let arguments = ["overload", "--set", "COMMIT_QUEUE=200"];
        let arguments = OverloadArguments::try_parse_from(arguments).unwrap();

        let settings = arguments.settings(None);

        let last = settings
            .last()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(last, Some(("COMMIT_QUEUE", "200")));
    }
}
