//! The replay: places the orders of an [`OrderBook`](crate::orders::OrderBook) with many concurrent callers and follows
//! every accepted order to its final state.
//!
//! ```text
//! schedule ──▶ caller 1..N: place, retry ──┬─ refused ──▶ tally
//!                                          └─ accepted ─▶ journal ─▶ (every 40th: cancel) ─▶ watch until final ─▶ tally
//! ```
//!
//! It is a well-behaved client, so it survives the crash of any process: an unanswered call is retried with the same
//! request id, and a broken watch is resumed. Memory is bounded by the number of open orders, time by a deadline per
//! order; an order that misses its deadline is named.
//!
//! It does not look into the services: comparing their data with the client's view is the task of the audit.

pub mod history;
pub mod journal;
pub mod progress;
pub mod summary;
pub mod tally;

mod caller;
mod plan;
mod schedule;
mod shared;
mod trouble;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::caller::ReplayCaller;
pub use self::plan::{ReplayPlan, WaitLimits};
use self::shared::Replay;
use self::summary::Summary;
use self::tally::Tally;
pub use self::trouble::Trouble;

/// Runs a plan to its end, or until `stop` plus a grace period of ten seconds; `tally` shows the progress.
pub async fn run(
    plan: ReplayPlan,
    tally: Arc<Tally>,
    stop: CancellationToken,
) -> anyhow::Result<Summary> {
    let replay = Arc::new(Replay::prepare(plan, tally, stop)?);
    let grace = tokio::spawn(replay.clone().end_grace());
    let mut callers = JoinSet::new();
    for _ in 0..replay.plan.concurrency.max(1) {
        callers.spawn(ReplayCaller::new(replay.clone()).run());
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

#[cfg(test)]
mod tests;
