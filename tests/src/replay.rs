//! The replay: places an [`OrderBook`] with many callers at once and follows every accepted order to its end.
//!
//! ```text
//! schedule ──▶ caller 1..N: place, retry ──┬─ refused ──▶ tally
//!                                          └─ accepted ─▶ journal ─▶ (every 40th: cancel) ─▶ watch until final ─▶ tally
//! ```
//!
//! It is a well-behaved client, so it outlives the death of any process: what got no answer is sent again with the same
//! request id, and a watch that broke is resumed. Its memory is bounded by the orders open at once, its time by a
//! deadline per order; an order that misses its deadline is named.
//!
//! It does not look into the services: whether the orders really are where the replay saw them is for the audit.

pub mod history;
pub mod journal;
pub mod progress;
pub mod summary;
pub mod tally;

mod caller;
mod schedule;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::caller::Caller;
use self::journal::Journal;
use self::schedule::Schedule;
use self::summary::Summary;
use self::tally::Tally;
pub use self::trouble::Trouble;
use crate::client::connections::Connections;
use crate::orders::OrderBook;

/// Orders that may be accepted and not yet final; callers wait beyond that. It bounds memory and open streams: each is
/// watched, and order-service allows 4,096 streams by default. It holds all orders of the sample, so that
/// their confirmations do not wait for outcomes.
const OPEN_ORDERS: usize = 2_000;

/// Time for calls in flight to end after a stop.
const GRACE: Duration = Duration::from_secs(10);

/// What to replay, where and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The replicas of order-service, such as `http://127.0.0.1:50051`; calls go to them in turn.
    pub addresses: Vec<String>,
    /// The orders.
    pub orders: Arc<OrderBook>,
    /// How many orders to place; the file is repeated if it holds fewer.
    pub count: usize,
    /// Orders per second, sent on time whether or not the answers are; `None`: as fast as the callers go.
    pub rate: Option<f64>,
    /// Calls open at once.
    pub concurrency: usize,
    /// The journal for the audit.
    pub journal: PathBuf,
    /// How long to wait for the service.
    pub wait_limits: WaitLimits,
    /// Trouble with payments beyond what the invoices bring.
    pub trouble: Trouble,
}

/// How long to wait for the service. Both cover a crash and restart of every process with room to spare.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    /// From an order's first send to its confirmation, retries included.
    pub confirmation: Duration,
    /// From an order's confirmation to its final state.
    pub outcome: Duration,
}

impl Default for WaitLimits {
    fn default() -> Self {
        Self {
            confirmation: Duration::from_secs(60),
            outcome: Duration::from_secs(120),
        }
    }
}

/// What callers share.
struct Replay {
    plan: Plan,
    /// Makes the request ids of this run different from those of every other run.
    run: Uuid,
    schedule: Schedule,
    calls: Connections,
    watches: Connections,
    open_orders: Arc<Semaphore>,
    accepted: AtomicU64,
    journal: Journal,
    tally: Arc<Tally>,
    watchers: TaskTracker,
    /// Take no further order.
    stop: CancellationToken,
    /// Abort the calls in flight.
    give_up: CancellationToken,
}

/// Runs a plan to its end, or until `stop` and a grace of ten seconds; `tally` shows how far it is.
pub async fn run(
    plan: Plan,
    tally: Arc<Tally>,
    stop: CancellationToken,
) -> anyhow::Result<Summary> {
    let replay = Arc::new(Replay::prepare(plan, tally, stop)?);
    let grace = tokio::spawn(replay.clone().end_grace());
    let mut callers = JoinSet::new();
    for _ in 0..replay.plan.concurrency.max(1) {
        callers.spawn(Caller::new(replay.clone()).run());
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    replay.watchers.close();
    replay.watchers.wait().await;
    grace.abort();
    replay.journal.close()?;
    Ok(replay.tally.summary())
}

impl Replay {
    fn prepare(plan: Plan, tally: Arc<Tally>, stop: CancellationToken) -> anyhow::Result<Self> {
        Ok(Self {
            run: Uuid::new_v4(),
            schedule: Schedule::new(plan.count, plan.rate),
            calls: Connections::to(&plan.addresses, plan.concurrency)?,
            watches: Connections::to(&plan.addresses, OPEN_ORDERS)?,
            open_orders: Arc::new(Semaphore::new(OPEN_ORDERS)),
            accepted: AtomicU64::new(0),
            journal: Journal::create(&plan.journal)?,
            tally,
            watchers: TaskTracker::new(),
            give_up: CancellationToken::new(),
            stop,
            plan,
        })
    }

    async fn end_grace(self: Arc<Self>) {
        self.stop.cancelled().await;
        sleep(GRACE).await;
        self.give_up.cancel();
    }
}

#[cfg(test)]
mod tests;
