//! Durable confirmations per second of order-service: on SQLite, on PostgreSQL, and on PostgreSQL with a transaction per
//! request, beside empty calls to the same server.
//!
//! Each service runs alone, without a broker: the synchronous half, from the client's call to the answer after the commit.
//! All variants have the same number of callers and connections. A transaction per request is the same code with
//! `COMMIT_MAX_BATCH=1`, and the number of concurrent commits that is fastest.

use std::time::Duration;

use anyhow::{Context as _, Result};
use postgres_server::Server;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::arguments::Sizes;
use super::figures::Figures;
use crate::alone::{Alone, on_postgres, place_order};
use crate::closed_loop::{self, Round};

/// The connections that the callers share.
const CONNECTIONS: usize = 4;

/// Calls before each measurement: connections are open, plans are cached, files have grown.
const WARM_UP: Duration = Duration::from_millis(500);

/// More connections were not faster.
const SINGLE_COMMITS: [(&str, &str); 3] = [
    ("COMMIT_MAX_BATCH", "1"),
    ("COMMIT_WRITERS", "32"),
    ("DATABASE_POOL", "36"),
];

/// A service under measurement.
struct Contender {
    service: Alone,
    channels: Vec<Channel>,
}

/// One round of every variant.
pub(super) async fn measure(sizes: &Sizes, figures: &mut Figures) -> Result<()> {
    // With the durability of production, and a database per variant.
    let server = Server::start_durable()?;
    let sqlite = Contender::start(&[]).await.context("SQLite")?;
    let grouped = Contender::on(&server, "group_commit", &[]).await?;
    let single = Contender::on(&server, "single_commits", &SINGLE_COMMITS).await?;

    let (callers, length) = (sizes.callers, sizes.confirmations);
    closed_loop::measure(callers, WARM_UP, &sqlite.channels, empty_call).await?;
    let empty = closed_loop::measure(callers, length, &sqlite.channels, empty_call).await?;
    add(figures, "empty_call_per_s", &empty);
    for (key, mut contender) in [
        ("place_sqlite_per_s", sqlite),
        ("place_postgres_per_s", grouped),
        ("tx_per_request_per_s", single),
    ] {
        let round = contender.round(callers, length).await.context(key)?;
        add(figures, key, &round);
    }
    for (key, of, to) in [
        (
            "place_postgres_of_empty_call",
            "place_postgres_per_s",
            "empty_call_per_s",
        ),
        (
            "place_sqlite_of_empty_call",
            "place_sqlite_per_s",
            "empty_call_per_s",
        ),
        (
            "place_postgres_of_tx_per_request",
            "place_postgres_per_s",
            "tx_per_request_per_s",
        ),
    ] {
        figures.add_ratio(key, of, to);
    }
    Ok(())
}

impl Contender {
    async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let service = Alone::start(settings).await?;
        let channels = service.channels(CONNECTIONS)?;
        Ok(Self { service, channels })
    }

    async fn on(server: &Server, database: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let own = on_postgres(server, database)?;
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<_> = own.chain(settings.iter().copied()).collect();
        Self::start(&settings).await.context("PostgreSQL")
    }

    async fn round(&mut self, callers: usize, length: Duration) -> Result<Round> {
        closed_loop::measure(callers, WARM_UP, &self.channels, place_order).await?;
        let round = closed_loop::measure(callers, length, &self.channels, place_order).await?;
        self.service.check()?;
        Ok(round)
    }
}

async fn empty_call(channel: Channel) -> Result<()> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?;
    Ok(())
}

fn add(figures: &mut Figures, key: &str, round: &Round) {
    println!(
        "  {key:<24} {:>8.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        round.per_second,
        round.millis(0.5),
        round.millis(0.99)
    );
    figures.add(key, round.per_second);
}
