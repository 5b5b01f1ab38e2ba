//! The cost of telemetry: durable confirmations per second and CPU time per order, with nothing exported and with
//! several sampling ratios, side by side.
//!
//! Each variant is an order-service of its own, without a broker. All are measured in turn, round by round, so that a
//! change of the machine's speed affects all of them. Exports go to a receiver in this process that reads and discards
//! them: its CPU time is not counted, but takes its share of the machine.
//!
//! `make bench ARGS='telemetry-cost --database postgres --callers 256 --rounds 5 --seconds 3'`

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::alone::{Alone, on_postgres, place_order};
use crate::closed_loop::{measure, median};
use crate::stack::DatabaseEngine;
use anyhow::{Context as _, Result, bail};
use clap::Parser;
use postgres_server::Server;
use tonic::transport::Channel;

/// Measure confirmations and their CPU time without telemetry and at several sampling ratios.
#[derive(Clone, Debug, Parser)]
pub(super) struct TelemetryCostArguments {
    /// Database engine of order-service.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: DatabaseEngine,
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

/// Name and sampling ratio of each variant; `None` disables the export of traces.
const CONTENDERS: [(&str, Option<&str>); 4] = [
    ("off", None),
    ("1 %", Some("0.01")),
    ("10 %", Some("0.1")),
    ("100 %", Some("1")),
];

struct TelemetryVariant {
    name: &'static str,
    service: Alone,
    channels: Vec<Channel>,
    rates: Vec<f64>,
    micros_per_order: Vec<f64>,
}

impl TelemetryVariant {
    async fn start(
        name: &'static str,
        settings: &[(&str, &str)],
        connections: usize,
    ) -> Result<Self> {
        let service = Alone::start(settings).await.context(name)?;
        Ok(Self {
            name,
            channels: service.channels(connections)?,
            service,
            rates: Vec::new(),
            micros_per_order: Vec::new(),
        })
    }

    async fn round(&mut self, arguments: &TelemetryCostArguments) -> Result<()> {
        let length = Duration::from_secs(arguments.seconds);
        let before = self.service.cpu_time()?;
        let round = measure(arguments.callers, length, &self.channels, place_order).await?;
        self.service.check()?;
        let used = self.service.cpu_time()?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "displayed only")]
        let micros = used.as_secs_f64() * 1e6 / round.calls as f64;
        println!(
            "{:<6} {:>8.0}/s   {micros:>6.1} µs of CPU per order   p50 {:>6.2} ms   p99 {:>6.2} ms",
            self.name,
            round.per_second,
            round.millis(0.5),
            round.millis(0.99)
        );
        self.rates.push(round.per_second);
        self.micros_per_order.push(micros);
        Ok(())
    }
}

async fn contenders(
    arguments: &TelemetryCostArguments,
    receiver: &str,
) -> Result<(Vec<TelemetryVariant>, Option<Server>)> {
    let postgres = match arguments.database {
        DatabaseEngine::Postgres => Some(Server::start_durable()?),
        DatabaseEngine::Sqlite => None,
    };
    let mut contenders = Vec::new();
    for (number, (name, ratio)) in CONTENDERS.into_iter().enumerate() {
        let mut settings = Vec::new();
        if let Some(ratio) = ratio {
            settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.to_owned()));
            settings.push(("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()));
        }
        if let Some(server) = &postgres {
            settings.extend(on_postgres(server, &format!("contender_{number}"))?);
        }
        let settings: Vec<_> = settings
            .iter()
            .map(|(key, value)| (*key, &**value))
            .collect();
        contenders.push(TelemetryVariant::start(name, &settings, arguments.connections).await?);
    }
    Ok((contenders, postgres))
}

/// Reads and discards requests; returns the address.
fn start_receiver() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // Ends when the exporter closes the connection.
            std::thread::spawn(move || while forget_request(&connection).is_ok() {});
        }
    });
    Ok(format!("http://{address}"))
}

fn forget_request(connection: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(connection);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            bail!("connection closed");
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<u64>()?);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = reader.take(length.context("no length")?);
    std::io::copy(&mut body, &mut std::io::sink())?;
    let mut connection = connection;
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    Ok(())
}

/// Runs the study.
///
/// # Errors
/// When a service does not start or ends, or a call fails.
pub(super) async fn run(arguments: TelemetryCostArguments) -> Result<()> {
    let receiver = start_receiver()?;
    let (mut contenders, _postgres) = contenders(&arguments, &receiver).await?;
    for _ in 0..arguments.rounds {
        for contender in &mut contenders {
            contender.round(&arguments).await?;
        }
    }
    println!("\nmedians over {} rounds", arguments.rounds);
    let mut off = None;
    for contender in contenders {
        let rate = median(contender.rates);
        let micros = median(contender.micros_per_order);
        let (rate_off, micros_off) = *off.get_or_insert((rate, micros));
        println!(
            "{:<6} {rate:>8.0}/s, {:.2} of off   {micros:>6.1} µs of CPU per order, {:.2} of off",
            contender.name,
            rate / rate_off,
            micros / micros_off
        );
    }
    Ok(())
}
