//! Gauges of the retry store: events and blocked keys, queried every few seconds.
//!
//! They have no value while the database is unreachable. Replicas share the retry store, and each of them reports all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::operations::{Operations, RetryStoreCount};
use service::error_chain::ErrorChain;
use telemetry::names::metrics;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// Time between queries. Events stay in the retry store for minutes at least.
const INTERVAL: Duration = Duration::from_secs(5);

/// Upper bound of the count: above it the alert is the same, and counting would cost the database too much.
const MAX_COUNTED: u32 = 10_000;

/// Updates the gauges of the retry store.
pub struct RetryStoreWatch {
    operations: Arc<dyn Operations>,
    last: LastReading<RetryStoreCount>,
}

impl RetryStoreWatch {
    /// Registers the gauges; they have no value before [`Self::run`].
    pub fn new(operations: Arc<dyn Operations>) -> Self {
        let last = LastReading::<RetryStoreCount>::default();
        let (keys, events) = (last.display(), last.display());
        let value = |count: u64| (count, Labels::default());
        metrics::RETRY_STORE_BLOCKED_KEYS
            .observe(move || keys.last().map(|count| value(count.keys)));
        metrics::RETRY_STORE_EVENTS.observe(move || events.last().map(|count| value(count.events)));
        Self { operations, last }
    }

    /// Queries until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.query().await;
        }
    }

    async fn query(&self) {
        let count = self.operations.count(MAX_COUNTED).await;
        let count = count.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "retry store count failed");
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
