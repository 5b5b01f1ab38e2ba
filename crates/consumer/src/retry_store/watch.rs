//! A look at the parked events every few seconds: how many there are, and of how many keys.
//!
//! The gauges show the last look, or nothing while the database cannot be read. Replicas share what is parked, and each
//! of them shows all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::operations::{Operations, RetryStoreCount};
use service::error_chain::ErrorChain;
use telemetry::names::metrics;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// How often parked events are counted. They stay for minutes at least.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Counted up to here: more are as bad, and counting all of them would cost what handling them needs.
const MAX_COUNTED: u32 = 10_000;

/// Watches parked events.
pub struct RetryStoreWatch {
    stored: Arc<dyn Operations>,
    last: LastReading<RetryStoreCount>,
}

impl RetryStoreWatch {
    /// Of these.
    pub fn new(stored: Arc<dyn Operations>) -> Self {
        let last = LastReading::default();
        let keys = last.display();
        metrics::RETRY_STORE_BLOCKED_KEYS.observe(move || {
            let count: Option<RetryStoreCount> = keys.last();
            count.map(|count| (count.keys, Labels::default()))
        });
        let events = last.display();
        metrics::RETRY_STORE_EVENTS.observe(move || {
            let count: Option<RetryStoreCount> = events.last();
            count.map(|count| (count.events, Labels::default()))
        });
        Self { stored, last }
    }

    /// Looks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            self.look().await;
        }
    }

    async fn look(&self) {
        let count = self.stored.count(MAX_COUNTED).await;
        let count = count.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "parked events could not be counted");
        });
        self.last.note(count.ok());
    }
}

impl std::fmt::Debug for RetryStoreWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RetryStoreWatch")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
