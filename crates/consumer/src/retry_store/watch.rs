//! A look at the parked events every few seconds: how many there are, and of how many keys.
//!
//! The gauges show the last look, or nothing while the database cannot be read. Replicas share what is parked, and each
//! of them shows all of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::operations::{Operations, ParkedCount};
use service::error_chain::ErrorChain;
use telemetry::names::metrics;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;

/// How often parked events are counted. They stay for minutes at least.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Counted up to here: more are as bad, and counting all of them would cost what handling them needs.
const MOST_COUNTED: u32 = 10_000;

/// Watches parked events.
pub struct ParkedWatch {
    parked: Arc<dyn Operations>,
    last: LastReading<ParkedCount>,
}

impl ParkedWatch {
    /// Of these.
    pub fn new(parked: Arc<dyn Operations>) -> Self {
        let last = LastReading::default();
        let keys = last.display();
        metrics::PARKED_KEYS.observe(move || {
            let count: Option<ParkedCount> = keys.last();
            count.map(|count| (count.keys, Labels::default()))
        });
        let events = last.display();
        metrics::PARKED_EVENTS.observe(move || {
            let count: Option<ParkedCount> = events.last();
            count.map(|count| (count.events, Labels::default()))
        });
        Self { parked, last }
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
        let count = self.parked.count(MOST_COUNTED).await;
        let count = count.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "parked events could not be counted");
        });
        self.last.note(count.ok());
    }
}

impl std::fmt::Debug for ParkedWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ParkedWatch")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
