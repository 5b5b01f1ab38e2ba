//! Orders per second to their final state, and what an order costs, on Apache Kafka and PostgreSQL.
//!
//! ```text
//! start both services ─▶ warm-up, until all are final ─▶ read the counters ─▶ place, in a closed loop of confirmations
//!    ─▶ until all are final ─▶ read the counters ─▶ stop both services
//! ```
//!
//! The rate is that of the whole way: from the first call until the last order is final. That is seen in the database, not
//! by a client, unless every order is watched. With fresh processes for each variant no variant inherits the memory, the
//! connections or the backlog of another; the sessions of stopped services have reported their statistics.

use std::time::Instant;

use anyhow::Result;

use super::arguments::Sizes;
use super::customers::{Customers, Watchers, place, place_watched};
use super::figures::Figures;
use super::pair::{Pair, Setting};
use super::usage::{CostPerOrder, Usage};
use crate::stack::Service;

/// Watched orders at once that are not final: enough for the batches of every stage, and within `WATCH_STREAMS`.
const WATCHED_AT_ONCE: usize = 2_000;

/// The version of PostgreSQL that counts syncs of the WAL with all others.
const SYNCS_MOVED: i32 = 180_000;

/// Orders to place, and how.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) callers: usize,
    pub(super) warm_up: u64,
    pub(super) orders: u64,
    /// Lines of an order; `None`: the usual two.
    pub(super) lines: Option<usize>,
    pub(super) is_watched: bool,
    /// Of order-service.
    pub(super) settings: Vec<Setting>,
}

/// The result of a workload.
#[derive(Clone, Debug)]
pub(super) struct EndToEnd {
    pub(super) per_second: f64,
    pub(super) cost: CostPerOrder,
    pub(super) fsyncs: f64,
    /// Resident memory of order-service and processing-service, and of the broker, after the last call.
    pub(super) resident_mib: [(Service, f64); 3],
}

/// A row of the table: the suffix of its keys, callers, and whether the availability check is on.
const VARIANTS: [(&str, usize, bool); 4] = [
    ("", 256, false),
    ("_64", 64, false),
    ("_checked", 256, true),
    ("_checked_64", 64, true),
];

/// Callers of the variant with every order watched.
const WATCHING_CALLERS: usize = 128;

/// One round of every variant.
pub(super) async fn measure(pair: &Pair, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
    let unwatched = Workload {
        callers: 0,
        warm_up: sizes.warm_up,
        orders: sizes.orders,
        lines: None,
        is_watched: false,
        settings: Vec::new(),
    };
    for (suffix, callers, is_checked) in VARIANTS {
        let workload = Workload {
            callers,
            settings: if is_checked { Vec::new() } else { unchecked() },
            ..unwatched.clone()
        };
        add(figures, suffix, &run(pair, &workload).await?);
    }
    let watched = Workload {
        callers: WATCHING_CALLERS,
        orders: sizes.watched,
        is_watched: true,
        settings: unchecked(),
        ..unwatched
    };
    add(figures, "_watched", &run(pair, &watched).await?);
    Ok(())
}

/// The settings of order-service without the availability check.
pub(super) fn unchecked() -> Vec<Setting> {
    vec![("AVAILABILITY_CHECK", "off".to_owned())]
}

/// Starts the services, measures a workload, and stops them.
pub(super) async fn run(pair: &Pair, workload: &Workload) -> Result<EndToEnd> {
    let syncs = wal_syncs(pair).await?;
    pair.start_both(&workload.settings).await?;
    let customers = pair.customers().await?.into_iter();
    let customers: Vec<_> = customers
        .map(|one| one.with_lines(workload.lines))
        .collect();
    place(&customers, workload.callers, workload.warm_up).await?;
    pair.until_all_are_final().await?;

    let (before, start) = (Usage::of(pair).await?, Instant::now());
    place_all(pair, &customers, workload).await?;
    let resident_mib = resident(pair)?;
    pair.until_all_are_final().await?;
    let elapsed = start.elapsed();
    let cost = Usage::of(pair).await?.since(&before, workload.orders);

    pair.stop_both().await?;
    let syncs = wal_syncs(pair).await? - syncs;
    Ok(EndToEnd {
        per_second: workload.orders as f64 / elapsed.as_secs_f64(),
        cost,
        fsyncs: syncs as f64 / (workload.warm_up + workload.orders) as f64,
        resident_mib,
    })
}

async fn place_all(pair: &Pair, customers: &[Customers], workload: &Workload) -> Result<()> {
    if !workload.is_watched {
        return place(customers, workload.callers, workload.orders).await;
    }
    let watchers = Watchers::new(&pair.stack().addresses().order_urls(), WATCHED_AT_ONCE)?;
    place_watched(customers, workload.callers, workload.orders, &watchers).await?;
    watchers.until_all_are_final().await
}

fn resident(pair: &Pair) -> Result<[(Service, f64); 3]> {
    let mut resident =
        [Service::Orders, Service::Processing, Service::Broker].map(|one| (one, 0.0));
    for (service, mib) in &mut resident {
        *mib = pair.resident_mib(*service)?;
    }
    Ok(resident)
}

/// Syncs of the WAL since the server was created, of all sessions that have ended.
async fn wal_syncs(pair: &Pair) -> Result<i64> {
    let mut orders = pair.database(Service::Orders).await?;
    let version = "SELECT current_setting('server_version_num')::int";
    let version: i32 = sqlx::query_scalar(version).fetch_one(&mut orders).await?;
    let syncs = if version < SYNCS_MOVED {
        "SELECT wal_sync FROM pg_stat_wal"
    } else {
        "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
    };
    Ok(sqlx::query_scalar(syncs).fetch_one(&mut orders).await?)
}

fn add(figures: &mut Figures, suffix: &str, result: &EndToEnd) {
    let cost = &result.cost;
    println!(
        "  end to end{suffix:<12} {:>7.0}/s   {:>6.0} µs of CPU per order",
        result.per_second,
        cost.total()
    );
    figures.add(format!("end_to_end{suffix}_per_s"), result.per_second);
    cost.add_to(figures, &format!("cpu_us_per_order{suffix}"));
    figures.add(format!("wal_bytes_per_order{suffix}"), cost.wal);
    figures.add(format!("fsyncs_per_order{suffix}"), result.fsyncs);
    if suffix.is_empty() {
        for (service, mib) in result.resident_mib {
            figures.add(format!("rss_mib.{service}"), mib);
        }
    }
}
