//! A look at the outbox once a second: how much waits, and for how long.
//!
//! The gauges show the last look, or nothing while the database cannot be read. Replicas share an outbox, and each of
//! them shows all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Backlog, Outbox};
use service::error_chain::ErrorChain;
use telemetry::names::metrics;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// How often the outbox is looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Rows that are counted where the exact number decides nothing: some ten milliseconds of a database's time.
pub const ENOUGH_ROWS: u64 = 100_000;

/// Watches an outbox.
pub struct BacklogWatch {
    outbox: Arc<dyn Outbox>,
    at_most: u64,
    last: LastReading<Backlog>,
}

impl BacklogWatch {
    /// Of this outbox, whose rows are counted up to `at_most`.
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

    /// Looks until `shutdown`, and hands each look to `judge`.
    pub async fn run(self, shutdown: CancellationToken, mut judge: impl FnMut(&Backlog)) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            if let Some(backlog) = self.look().await {
                judge(&backlog);
            }
        }
    }

    async fn look(&self) -> Option<Backlog> {
        let backlog = self.outbox.backlog(self.at_most).await;
        let backlog = backlog.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "the backlog could not be read");
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
