//! `--grow PARAMETER,…`: how throughput and CPU time per order depend on one parameter after the other.
//!
//! Each value has a stack of its own, and its audit; only the history grows on one stack, by real orders. All other
//! parameters are those of the table: two lines, one replica, six partitions, no availability check, nobody watching.

mod report;

use std::path::Path;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use self::report::Growth;

use super::arguments::{BenchArguments, Sizes};
use super::customers::{Watchers, place, place_watched};
use super::end_to_end::{self, EndToEnd, Workload, unchecked};
use super::pair::{OPEN_ORDERS, Pair, PairSettings, WITHOUT_OUTCOME};
use super::progress::{rate_of_way, until_none};
use super::table::number;
use super::usage::{CostPerOrder, Usage};
use crate::demo::fresh_directory;
use crate::orders::basket::MAX_LINES;
use crate::stack::Service;

/// Callers where they are not the parameter.
const CALLERS: u64 = 256;

/// A single caller places some hundred orders per second: fewer orders are enough.
const ORDERS_PER_CALLER: u64 = 2_000;

/// Beyond the default limit of calls in flight.
const CONCURRENCY: u64 = 4_096;

const OUTBOX: &str = "SELECT count(*) FROM outbox";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GrowParameter {
    /// Calls in flight.
    Callers,
    /// Lines of an order.
    Lines,
    /// Orders in the databases and topics before the measured ones.
    History,
    /// Open WatchOrder streams while a backlog is drained.
    Watchers,
    /// Partitions of each topic.
    Partitions,
    /// Replicas of each service.
    Replicas,
}

/// The result for one value of the parameter.
#[derive(Clone, Debug)]
struct GrowRow {
    value: u64,
    per_second: f64,
    cost: CostPerOrder,
}

impl GrowParameter {
    fn name(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::Lines => "lines",
            Self::History => "history",
            Self::Watchers => "watchers",
            Self::Partitions => "partitions",
            Self::Replicas => "replicas",
        }
    }

    fn values(self) -> &'static [u64] {
        match self {
            Self::Callers => &[1, 4, 16, 64, 256, 1_024],
            Self::Lines => &[1, 2, 5, 10, 20, 50, 100],
            Self::History => &[1_000, 10_000, 100_000, 1_000_000],
            Self::Watchers => &[0, 10, 100, 1_000, 10_000],
            Self::Partitions => &[1, 3, 6, 12, 24, 48],
            Self::Replicas => &[1, 2, 3],
        }
    }
}

pub(super) async fn run(parameters: &[GrowParameter], arguments: &BenchArguments) -> Result<()> {
    for parameter in parameters {
        check(*parameter, values(*parameter, arguments))?;
    }
    ensure!(
        parameters.len() == 1 || arguments.values.is_empty(),
        "--values are those of one parameter"
    );
    let mut grown = Vec::new();
    for parameter in parameters {
        let growth = measure(*parameter, arguments).await?;
        println!("\n{}", growth.table());
        grown.push(growth);
        // After each: an hour of measurements does not depend on the last one.
        report::write(&grown, arguments)?;
    }
    Ok(())
}

fn values(parameter: GrowParameter, arguments: &BenchArguments) -> &[u64] {
    match arguments.values.as_slice() {
        [] => parameter.values(),
        values => values,
    }
}

async fn measure(parameter: GrowParameter, arguments: &BenchArguments) -> Result<Growth> {
    let (values, sizes) = (values(parameter, arguments), arguments.sizes());
    let rows = match parameter {
        GrowParameter::History => with_history(values, &sizes, &arguments.data_dir).await?,
        _ => with_each(parameter, values, &sizes, &arguments.data_dir).await?,
    };
    Ok(Growth { parameter, rows })
}

fn check(parameter: GrowParameter, values: &[u64]) -> Result<()> {
    let largest = values.iter().max().copied().unwrap_or_default();
    let is_sorted = values.is_sorted();
    match parameter {
        GrowParameter::Lines => ensure!(largest <= MAX_LINES as u64, "at most {MAX_LINES} lines"),
        GrowParameter::History => ensure!(is_sorted, "a history only grows: sort the values"),
        GrowParameter::Watchers => {}
        _ => ensure!(!values.contains(&0), "at least 1"),
    }
    Ok(())
}

async fn with_each(
    parameter: GrowParameter,
    values: &[u64],
    sizes: &Sizes,
    data_dir: &Path,
) -> Result<Vec<GrowRow>> {
    let mut rows = Vec::new();
    for value in values {
        println!("{value} {}", parameter.name());
        fresh_directory::prepare(data_dir)?;
        let pair = Pair::start(data_dir, settings(parameter, *value)?).await?;
        let row = match parameter {
            GrowParameter::Watchers => drain_watched(&pair, *value, sizes).await,
            _ => end_to_end::run(&pair, &workload(parameter, *value, sizes))
                .await
                .map(|result| GrowRow::of(*value, result)),
        };
        finish(pair, row, &mut rows).await?;
    }
    Ok(rows)
}

fn settings(parameter: GrowParameter, value: u64) -> Result<PairSettings> {
    let defaults = PairSettings::default();
    Ok(match parameter {
        GrowParameter::Partitions => PairSettings {
            partitions: Some(value),
            ..defaults
        },
        GrowParameter::Replicas => PairSettings {
            replicas: u16::try_from(value)?,
            ..defaults
        },
        _ => defaults,
    })
}

fn workload(parameter: GrowParameter, value: u64, sizes: &Sizes) -> Workload {
    let is = |other| parameter == other;
    let callers = if is(GrowParameter::Callers) {
        value
    } else {
        CALLERS
    };
    let orders = sizes.orders.min(callers * ORDERS_PER_CALLER);
    let concurrency = ("GRPC_CONCURRENCY", CONCURRENCY.to_string());
    Workload {
        callers: callers as usize,
        warm_up: sizes.warm_up.min(orders),
        orders,
        lines: is(GrowParameter::Lines).then_some(value as usize),
        is_watched: false,
        settings: [unchecked(), vec![concurrency]].concat(),
    }
}

/// The history is made by the system itself, so that everything that grows with it does: tables, indexes, topics.
async fn with_history(values: &[u64], sizes: &Sizes, data_dir: &Path) -> Result<Vec<GrowRow>> {
    fresh_directory::prepare(data_dir)?;
    let pair = Pair::start(data_dir, PairSettings::default()).await?;
    let mut rows = Vec::new();
    let measured = async {
        for value in values {
            grow_history(&pair, *value).await?;
            println!("a history of {value}");
            let workload = workload(GrowParameter::History, *value, sizes);
            let result = end_to_end::run(&pair, &workload).await?;
            rows.push(GrowRow::of(*value, result));
        }
        anyhow::Ok(())
    };
    let measured = measured.await;
    pair.finish(measured).await?;
    Ok(rows)
}

async fn grow_history(pair: &Pair, orders: u64) -> Result<()> {
    let mut database = pair.database(Service::Orders).await?;
    let there = "SELECT count(*) FROM orders";
    let there: i64 = sqlx::query_scalar(there).fetch_one(&mut database).await?;
    let missing = orders.saturating_sub(u64::try_from(there)?);
    pair.start_both(&unchecked()).await?;
    place(&pair.customers().await?, CALLERS as usize, missing).await?;
    pair.until_all_are_final().await?;
    pair.stop_both().await
}

/// Drains a backlog while some of its orders are watched: a watched order stays open until it is its turn.
async fn drain_watched(pair: &Pair, watched: u64, sizes: &Sizes) -> Result<GrowRow> {
    let streams = [
        ("WATCH_STREAMS", (watched + 1).to_string()),
        ("GRPC_CONCURRENCY", CONCURRENCY.to_string()),
    ];
    pair.start_service(Service::Orders, &[unchecked(), streams.to_vec()].concat())
        .await?;
    let (customers, callers) = (pair.customers().await?, CALLERS as usize);
    let addresses = pair.stack().addresses().order_urls();
    let watchers = Watchers::new(&addresses, (watched as usize).max(1))?;
    let orders = sizes.orders.max(watched);
    place_watched(&customers, callers, watched, &watchers).await?;
    place(&customers, callers, orders - watched).await?;
    let mut database = pair.database(Service::Orders).await?;
    until_none(&mut database, OUTBOX).await?;

    pair.launch(Service::Processing, &[]).await?;
    let before = Usage::of(pair).await?;
    let per_second = rate_of_way(&mut database, WITHOUT_OUTCOME, OPEN_ORDERS).await?;
    watchers.until_all_are_final().await?;
    let cost = Usage::of(pair).await?.since(&before, orders);
    pair.stop_both().await?;
    Ok(GrowRow {
        value: watched,
        per_second,
        cost,
    })
}

async fn finish(pair: Pair, row: Result<GrowRow>, rows: &mut Vec<GrowRow>) -> Result<()> {
    let row = match row {
        Ok(row) => row,
        Err(error) => return pair.finish(Err(error)).await,
    };
    pair.finish(Ok(())).await?;
    println!("  {} orders/s", number(row.per_second));
    rows.push(row);
    Ok(())
}

impl GrowRow {
    fn of(value: u64, result: EndToEnd) -> Self {
        Self {
            value,
            per_second: result.per_second,
            cost: result.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_measured_are_refused() {
        assert!(check(GrowParameter::Watchers, &[0]).is_ok());
        assert!(check(GrowParameter::Callers, &[0]).is_err());
        assert!(check(GrowParameter::Lines, &[501]).is_err());
        assert!(check(GrowParameter::History, &[10, 1]).is_err());
    }

    #[test]
    fn few_callers_place_fewer_orders() {
        let orders = [1, 1_024]
            .map(|callers| workload(GrowParameter::Callers, callers, &Sizes::FULL).orders);

        assert_eq!(orders, [2_000, 20_000]);
    }
}
