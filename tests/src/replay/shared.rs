//! The state that all callers of a replay share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::journal::Journal;
use super::plan::ReplayPlan;
use super::schedule::Schedule;
use super::tally::Tally;
use crate::client::connections::Connections;

/// Maximum orders that are accepted and not yet final; callers wait beyond that. It bounds memory and open streams:
/// each order is watched, and order-service allows 4,096 streams by default. It exceeds the number of orders in the
/// sample, so that their confirmations do not wait for outcomes.
const OPEN_ORDERS: usize = 2_000;

/// Grace period for calls in flight after a stop.
const GRACE: Duration = Duration::from_secs(10);

/// State shared by the callers.
pub(super) struct Replay {
    pub(super) plan: ReplayPlan,
    /// Seed of the request ids of this run, different from every other run.
    pub(super) run: Uuid,
    pub(super) schedule: Schedule,
    pub(super) calls: Connections,
    pub(super) watches: Connections,
    pub(super) open_orders: Arc<Semaphore>,
    pub(super) accepted: AtomicU64,
    pub(super) journal: Journal,
    pub(super) tally: Arc<Tally>,
    pub(super) watchers: TaskTracker,
    /// Cancelled: no further orders are placed.
    pub(super) stop: CancellationToken,
    /// Cancelled: calls in flight are aborted.
    pub(super) give_up: CancellationToken,
}

impl Replay {
    pub(super) fn prepare(
        plan: ReplayPlan,
        tally: Arc<Tally>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
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

    pub(super) async fn end_grace(self: Arc<Self>) {
        self.stop.cancelled().await;
        sleep(GRACE).await;
        self.give_up.cancel();
    }
}
