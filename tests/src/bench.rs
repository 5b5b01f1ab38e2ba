//! `make bench`: what the pair does on this machine, beside the targets of the design.
//!
//! ```text
//! confirmations, in rounds ─▶ Apache Kafka + PostgreSQL ─▶ rounds of: end-to-end, relay, drain, latency, start ─▶ table ─▶ audit
//!                             `--grow PARAMETER,…`: for each value of a parameter a stack, end-to-end, audit ─▶ table
//! ```
//!
//! Rounds are interleaved: every variant is measured once per round, so that a change of the machine's speed affects all of
//! them. A figure is the median over the rounds, with the lowest and the highest value; compare figures of one run, and
//! quote ratios. Client, servers and services share the machine.
//!
//! Every order placed on the stack is in the journal, and a run ends with the audit of all of them: a system that is fast
//! and loses an order has no figures. The table is printed before it, `--json` written after it.
//!
//! Reading order: `rows` (every figure, and its target), `figures`; `pair` and `customers` (the system under measurement and
//! its clients), `usage` (CPU and WAL), `progress` (how fast a backlog shrinks); then one file per measurement:
//! `confirmations`, `end_to_end`, `relay`, `drain`, `latency`, `start`; `grow` (cost against a parameter), `table`. The
//! studies have a report of their own: `overload`, `neighbours`, `telemetry_cost`.

mod arguments;
mod confirmations;
mod customers;
mod drain;
mod end_to_end;
mod figures;
mod grow;
mod latency;
mod neighbours;
mod overload;
mod pair;
mod progress;
mod relay;
mod rows;
mod start;
mod table;
mod telemetry_cost;
mod usage;

use anyhow::{Context as _, Result, bail, ensure};

pub use self::arguments::BenchArguments;
use self::arguments::{Measurement, Sizes, Study};
use self::figures::Figures;
use self::pair::{Pair, PairSettings};
use crate::demo::fresh_directory;
use crate::report::write_json;
use crate::stack::has_apache_kafka;
use crate::stack::interrupt::Interrupt;

/// Runs the program.
///
/// # Errors
/// When a server or service does not start, when a call fails, when an order does not become final, when the run was
/// interrupted, or when the audit is red.
pub async fn run(arguments: BenchArguments) -> Result<()> {
    match arguments.study {
        Some(Study::Overload(study)) => overload::run(study).await,
        Some(Study::Neighbours(study)) => neighbours::run(study).await,
        Some(Study::TelemetryCost(study)) => telemetry_cost::run(study).await,
        None => run_measurements(&arguments).await,
    }
}

async fn run_measurements(arguments: &BenchArguments) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let measured = async {
        match arguments.grow.as_slice() {
            [] => measure_all(arguments).await,
            parameters => grow::run(parameters, arguments).await,
        }
    };
    tokio::select! {
        result = measured => result,
        // What was started ends with this future: a stack that is dropped kills its processes.
        () = interrupt.stop.cancelled() => bail!("the run was interrupted"),
    }
}

async fn measure_all(arguments: &BenchArguments) -> Result<()> {
    let sizes = arguments.sizes();
    let on_a_stack = Measurement::ON_A_STACK
        .iter()
        .any(|one| arguments.has(*one));
    // Before a minute of other measurements.
    ensure!(
        !on_a_stack || has_apache_kafka(),
        "Apache Kafka is not prepared: run `make apache-kafka` (needs Java 17 and Maven), or choose --only confirmations"
    );
    let mut figures = Figures::default();
    if arguments.has(Measurement::Confirmations) {
        for round in 1..=sizes.rounds {
            println!("confirmations, round {round} of {}", sizes.rounds);
            confirmations::measure(&sizes, &mut figures).await?;
        }
    }
    if on_a_stack {
        fresh_directory::prepare(&arguments.data_dir)?;
        let pair = Pair::start(&arguments.data_dir, PairSettings::default()).await?;
        let measured = measure_rounds(&pair, arguments, &sizes, &mut figures).await;
        if measured.is_ok() {
            // Before the audit, which takes as long as the rounds and ends the run with an error if it is red.
            println!("\n{}", table::of(&figures));
        }
        pair.finish(measured).await?;
    } else {
        println!("\n{}", table::of(&figures));
    }
    if let Some(path) = &arguments.json {
        write_json(path, &figures.to_json())?;
    }
    Ok(())
}

async fn measure_rounds(
    pair: &Pair,
    arguments: &BenchArguments,
    sizes: &Sizes,
    figures: &mut Figures,
) -> Result<()> {
    for round in 1..=sizes.rounds {
        for measurement in Measurement::ON_A_STACK {
            if arguments.has(measurement) {
                println!("{measurement}, round {round} of {}", sizes.rounds);
                let measured = measure(measurement, pair, sizes, figures).await;
                measured.with_context(|| measurement.to_string())?;
            }
        }
    }
    Ok(())
}

async fn measure(
    measurement: Measurement,
    pair: &Pair,
    sizes: &Sizes,
    figures: &mut Figures,
) -> Result<()> {
    match measurement {
        Measurement::Confirmations => confirmations::measure(sizes, figures).await,
        Measurement::EndToEnd => end_to_end::measure(pair, sizes, figures).await,
        Measurement::Relay => relay::measure(pair, sizes, figures).await,
        Measurement::Drain => drain::measure(pair, sizes, figures).await,
        Measurement::Latency => latency::measure(pair, sizes, figures).await,
        Measurement::Start => start::measure(pair, figures).await,
    }
}
