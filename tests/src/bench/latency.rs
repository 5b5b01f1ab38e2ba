//! Latency from the call to the confirmation and to the final state, in an open loop; nobody watches.
//!
//! The time of the final state is that of its commit, which PostgreSQL records (`track_commit_timestamp`), so that no query
//! disturbs the run. Client and server share the clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::Order;
use tonic::Status;

use super::arguments::Sizes;
use super::customers::{Customers, place as place_all};
use super::end_to_end::unchecked;
use super::figures::Figures;
use super::pair::Pair;
use crate::open_loop::answer::{availability, within};
use crate::open_loop::measured::{Measured, millis};
use crate::open_loop::{self, Arrivals, Load};
use crate::stack::Service;

/// Orders per second, and the end of the figures' names.
pub(super) const RATES: [(&str, f64); 2] = [("100", 100.0), ("1000", 1_000.0)];

const WARM_UP: Duration = Duration::from_secs(1);

/// Callers of the orders before the first open loop.
const WARM_UP_CALLERS: usize = 64;

/// Deadline of a call.
const ANSWER: Duration = Duration::from_secs(5);

/// Calls in flight: those of a second.
const OUTSTANDING: usize = 1_000;

/// When each order was called for, in microseconds since 1970, by order id.
type Called = Arc<Mutex<HashMap<String, i64>>>;

/// The orders of an open loop.
pub(super) struct Offered {
    measured: Measured,
    called: HashMap<String, i64>,
}

pub(super) async fn measure(pair: &Pair, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
    pair.start_both(&unchecked()).await?;
    // Until every partition has its consumer, which takes a second.
    place_all(&pair.customers().await?, WARM_UP_CALLERS, sizes.warm_up).await?;
    pair.until_all_are_final().await?;
    for (name, per_second) in RATES {
        let offered = offer(pair, per_second, sizes.latency).await?;
        pair.until_all_are_final().await?;
        let confirmed = offered.measured.all_accepted().corrected;
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            let key = format!("confirmed_ms_at_{name}.{quantile}");
            figures.add(key, millis(confirmed.quantile(share)));
        }
        let fulfilled = until_final(pair, &offered.called).await?;
        figures.add_quantiles(&format!("fulfilled_ms_at_{name}"), fulfilled);
    }
    pair.stop_both().await
}

/// Offers orders at this rate, with Poisson arrivals.
pub(super) async fn offer(pair: &Pair, per_second: f64, length: Duration) -> Result<Offered> {
    let load = Load {
        arrivals: Arrivals::Poisson,
        per_second,
        warm_up: WARM_UP,
        length,
        outstanding: OUTSTANDING,
    };
    let customers = pair.customers().await?;
    let customers = customers.into_iter().next().context("no replica")?;
    let called = Called::default();
    let calls = Arc::clone(&called);
    let measured = open_loop::run(load, move |_| {
        let (customers, calls) = (customers.clone(), Arc::clone(&calls));
        async move {
            let order = within(ANSWER, place(&customers, &calls)).await?;
            Ok(availability(&order))
        }
    });
    let measured = measured.await?;
    println!("  {measured}");
    let lost = measured.dropped + measured.all_refused().count() + measured.all_failed().count();
    ensure!(
        lost == 0,
        "{lost} calls have no order: {:?}",
        measured.outcomes.samples
    );
    let called = std::mem::take(&mut *called.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Offered { measured, called })
}

async fn place(customers: &Customers, called: &Called) -> Result<Order, Status> {
    let now = micros_since_1970();
    let order = customers.place().await?;
    let mut called = called.lock().unwrap_or_else(PoisonError::into_inner);
    called.insert(order.order_id.clone(), now);
    Ok(order)
}

fn micros_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds from the call to the commit of the final state, of each of these orders.
async fn until_final(pair: &Pair, called: &HashMap<String, i64>) -> Result<Vec<f64>> {
    let mut orders = pair.database(Service::Orders).await?;
    let first = called.values().min().copied().unwrap_or_default();
    let finals: Vec<(String, i64)> = sqlx::query_as(
        "SELECT order_id::text, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
         FROM order_events
         WHERE status IN ('FULFILLED', 'REJECTED', 'CANCELLED') AND occurred_at >= $1",
    )
    // Milliseconds.
    .bind(first / 1_000)
    .fetch_all(&mut orders)
    .await?;
    let finals: HashMap<_, _> = finals.into_iter().collect();
    let latencies = called.iter().map(|(order_id, called)| {
        let at = finals.get(order_id).context("an order is not final")?;
        Ok((at - called) as f64 / 1_000.0)
    });
    latencies.collect()
}
