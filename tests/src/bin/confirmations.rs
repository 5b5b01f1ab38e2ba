//! How many durable confirmations a second order-service gives, beside an empty call to the same server.
//!
//! order-service runs alone, on SQLite, with no broker: what is measured is the synchronous half, from the client's call
//! to the answer after the commit. Empty calls (`grpc.health.v1` Check) and orders are measured in turn, round by round,
//! with the same callers on the same connections, so that a change of the machine's speed hits both. Quote the medians
//! and their ratio.
//!
//! `make bench ARGS='--callers 256 --rounds 5 --seconds 3'`

use std::future::Future;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use tests::stack::programs_directory;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Arguments {
    /// Calls open at once.
    #[arg(long, default_value = "256")]
    callers: usize,
    /// Connections that the callers share.
    #[arg(long, default_value = "4")]
    connections: usize,
    /// Measurements of each kind.
    #[arg(long, default_value = "5")]
    rounds: usize,
    /// Length of one measurement.
    #[arg(long, default_value = "3")]
    seconds: u64,
}

/// order-service in a directory of its own; killed when dropped.
struct Service {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Service {
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let process = Command::new(programs_directory().join("order-service"))
            .current_dir(directory.path())
            .env("GRPC_LISTEN", format!("127.0.0.1:{port}"))
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("LOG_FILTER", "error")
            .stdout(Stdio::null())
            .spawn()
            .context("order-service does not start; make bench builds it")?;
        Ok(Self {
            process,
            address: format!("http://127.0.0.1:{port}"),
            _directory: directory,
        })
    }

    async fn connect(&self, connections: usize) -> Result<Vec<Channel>> {
        let endpoint = Endpoint::from_shared(self.address.clone())?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(error) = endpoint.connect().await {
            anyhow::ensure!(
                Instant::now() < deadline,
                "order-service does not answer: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let channels = (0..connections).map(|_| endpoint.connect());
        Ok(try_join_all(channels).await?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing of it is needed any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What one round showed.
struct Round {
    per_second: f64,
    latency: Histogram<u64>,
}

/// Calls from every caller for a while. Calls in work at the end are waited for and counted with their time.
async fn measure<F, C>(arguments: &Arguments, channels: &[Channel], call: C) -> Result<Round>
where
    F: Future<Output = Result<()>>,
    C: Fn(Channel) -> F,
{
    let start = Instant::now();
    let end = start + Duration::from_secs(arguments.seconds);
    let callers = (0..arguments.callers).map(|caller| {
        let channel = channels[caller % channels.len()].clone();
        let call = &call;
        async move {
            let mut latency = Histogram::<u64>::new(3)?;
            while Instant::now() < end {
                let begun = Instant::now();
                call(channel.clone()).await?;
                latency.record(u64::try_from(begun.elapsed().as_micros())?)?;
            }
            anyhow::Ok(latency)
        }
    });
    let mut all = Histogram::<u64>::new(3)?;
    for latency in try_join_all(callers).await? {
        all.add(latency)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
    let per_second = all.len() as f64 / start.elapsed().as_secs_f64();
    Ok(Round {
        per_second,
        latency: all,
    })
}

async fn empty_call(channel: Channel) -> Result<()> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await?;
    Ok(())
}

async fn place_order(channel: Channel) -> Result<()> {
    let line = |sku: &str, quantity| OrderLine {
        sku: sku.to_owned(),
        quantity,
        unit_price: Some(Money {
            currency_code: "GBP".to_owned(),
            minor_units: 255,
        }),
    };
    let order = PlaceOrderRequest {
        request_id: Uuid::new_v4().to_string(),
        customer_id: "17850".to_owned(),
        lines: vec![line("85123A", 6), line("71053", 2)],
        payment_token: "tok_approved".to_owned(),
    };
    OrderServiceClient::new(channel).place_order(order).await?;
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn show(what: &str, round: &Round) {
    #[expect(clippy::cast_precision_loss, reason = "a latency is for people")]
    let ms = |quantile| round.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "{what:<16} {:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms",
        round.per_second,
        ms(0.5),
        ms(0.99)
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let service = Service::start()?;
    let channels = service.connect(arguments.connections).await?;
    let (mut empty, mut confirmed) = (Vec::new(), Vec::new());
    for _ in 0..arguments.rounds {
        let round = measure(&arguments, &channels, empty_call).await?;
        show("empty call", &round);
        empty.push(round.per_second);
        let round = measure(&arguments, &channels, place_order).await?;
        show("confirmation", &round);
        confirmed.push(round.per_second);
    }
    let (empty, confirmed) = (median(empty), median(confirmed));
    println!(
        "\nmedian: {empty:.0} empty calls/s, {confirmed:.0} durable confirmations/s, ratio {:.2}",
        confirmed / empty
    );
    Ok(())
}
