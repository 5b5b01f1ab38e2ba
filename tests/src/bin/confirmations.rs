//! Durable confirmations per second of order-service: on SQLite, on PostgreSQL, and on PostgreSQL with one transaction
//! per request, beside empty calls to the same server.
//!
//! Each service runs alone, without a broker: this measures the synchronous half, from the client's call to the answer
//! after the commit. All variants are measured in turn, round by round, with the same number of callers and
//! connections, so that a change of the machine's speed affects all of them. Quote the medians and their ratios.
//!
//! One transaction per request is the same code with `COMMIT_MAX_BATCH=1` and the number of concurrent commits that is
//! fastest.
//!
//! `make bench ARGS='--callers 256 --rounds 5 --seconds 3'`

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use postgres_server::Server;
use proto::orders::v1::order_service_client::OrderServiceClient;
use tests::alone::Alone;
use tests::client::connections::connect;
use tests::closed_loop::{Round, measure, median};
use tests::orders::basket;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[derive(Debug, Parser)]
struct ConfirmationsArguments {
    /// Calls in flight.
    #[arg(long, default_value = "256")]
    callers: usize,
    /// Connections that the callers share.
    #[arg(long, default_value = "4")]
    connections: usize,
    /// Measurements of each variant.
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Length of one measurement.
    #[arg(long, default_value = "3")]
    seconds: u64,
}

impl ConfirmationsArguments {
    async fn measure<F: Future<Output = Result<()>>>(
        &self,
        channels: &[Channel],
        call: impl Fn(Channel) -> F,
    ) -> Result<Round> {
        let length = Duration::from_secs(self.seconds);
        measure(self.callers, length, channels, call).await
    }
}

/// A variant under measurement.
struct Contender {
    name: &'static str,
    service: Alone,
    channels: Vec<Channel>,
    rates: Vec<f64>,
}

impl Contender {
    async fn start(
        name: &'static str,
        settings: &[(&str, &str)],
        connections: usize,
    ) -> Result<Self> {
        let service = Alone::start(settings).await.context(name)?;
        let channels = (0..connections).map(|_| connect(service.address()));
        let channels = channels.collect::<Result<_>>()?;
        Ok(Self {
            name,
            service,
            channels,
            rates: Vec::new(),
        })
    }

    async fn round(&mut self, arguments: &ConfirmationsArguments) -> Result<()> {
        let round = arguments.measure(&self.channels, place_order).await?;
        self.service.check()?;
        show(self.name, &round);
        self.rates.push(round.per_second);
        Ok(())
    }
}

async fn empty_call(channel: Channel) -> Result<()> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?;
    Ok(())
}

async fn place_order(channel: Channel) -> Result<()> {
    OrderServiceClient::new(channel)
        .place_order(basket::request())
        .await?;
    Ok(())
}

fn show(what: &str, round: &Round) {
    println!(
        "{what:<16} {:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        round.per_second,
        round.millis(0.5),
        round.millis(0.99)
    );
}

/// PostgreSQL with production durability, and a database per variant.
fn start_postgres() -> Result<Option<Server>> {
    match Server::start_durable() {
        Ok(server) => {
            server.create_database("group_commit")?;
            server.create_database("single_commits")?;
            Ok(Some(server))
        }
        Err(error) => {
            println!("PostgreSQL is skipped: {error}");
            Ok(None)
        }
    }
}

/// More connections were not faster.
const SINGLE_COMMITS: [(&str, &str); 3] = [
    ("COMMIT_MAX_BATCH", "1"),
    ("COMMIT_WRITERS", "32"),
    ("DATABASE_POOL", "36"),
];

async fn contenders(
    arguments: &ConfirmationsArguments,
    postgres: Option<&Server>,
) -> Result<Vec<Contender>> {
    let connections = arguments.connections;
    let mut contenders = vec![Contender::start("SQLite", &[], connections).await?];
    if let Some(server) = postgres {
        let url = server.url("group_commit");
        let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_MIGRATE", "true")];
        contenders.push(Contender::start("PostgreSQL", &settings, connections).await?);
        let url = server.url("single_commits");
        let mut settings = vec![("DATABASE_URL", url.as_str()), ("DATABASE_MIGRATE", "true")];
        settings.extend(SINGLE_COMMITS);
        contenders.push(Contender::start("  one by one", &settings, connections).await?);
    }
    Ok(contenders)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = ConfirmationsArguments::parse();
    let postgres = start_postgres()?;
    let mut contenders = contenders(&arguments, postgres.as_ref()).await?;
    let mut empty = Vec::new();
    for _ in 0..arguments.rounds {
        let round = arguments
            .measure(&contenders[0].channels, empty_call)
            .await?;
        show("empty call", &round);
        empty.push(round.per_second);
        for contender in &mut contenders {
            contender.round(&arguments).await?;
        }
    }
    let empty = median(empty);
    println!("\nmedians over {} rounds", arguments.rounds);
    println!("{:<16} {empty:>9.0}/s", "empty call");
    for contender in contenders {
        let rate = median(contender.rates);
        println!(
            "{:<16} {rate:>9.0}/s   {:.2} of an empty call",
            contender.name,
            rate / empty
        );
    }
    Ok(())
}
