//! Polls the backlog of an outbox once a second and exports it as gauges.
//!
//! The gauges show the last poll, and nothing while the database cannot be read. Replicas share an outbox, and each of
//! them reports the whole backlog. Create one watch per process: an observed gauge cannot be unregistered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::outbox::{Backlog, Outbox};
use service::error_chain::ErrorChain;
use telemetry::names::metrics;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// Interval of the polls.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A limit for counting where the exact number decides nothing: counting this many rows takes some 10 ms.
pub const MAX_COUNTED_ROWS: u64 = 100_000;

/// Polls the backlog of one outbox.
pub struct BacklogWatch {
    outbox: Arc<dyn Outbox>,
    at_most: u64,
    last: LastReading<Backlog>,
}

impl BacklogWatch {
    /// Registers the gauges; rows are counted up to `at_most`.
    pub fn new(outbox: Arc<dyn Outbox>, at_most: u64) -> Self {
        let last = LastReading::default();
        let rows = last.display();
        metrics::OUTBOX_ROWS.observe(move || {
            let backlog: Option<Backlog> = rows.last();
            backlog.map(|backlog| (backlog.rows, Labels::default()))
        });
        let age = last.display();
        metrics::OUTBOX_OLDEST_AGE.observe_time(move || {
            let backlog: Option<Backlog> = age.last();
            backlog.map(|backlog| (backlog.oldest, Labels::default()))
        });
        Self {
            outbox,
            at_most,
            last,
        }
    }

    /// Polls until `shutdown` and passes each backlog to `judge`. A poll that fails is skipped.
    pub async fn run(self, shutdown: CancellationToken, mut judge: impl FnMut(&Backlog)) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Some(backlog) = self.poll().await {
                judge(&backlog);
            }
        }
    }

    async fn poll(&self) -> Option<Backlog> {
        let backlog = self.outbox.backlog(self.at_most).await;
        let backlog = backlog.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "backlog not read");
        });
        let backlog = backlog.ok();
        self.last.note(backlog);
        backlog
    }
}

impl std::fmt::Debug for BacklogWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BacklogWatch")
            .field("at_most", &self.at_most)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
