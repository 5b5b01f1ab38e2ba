//! The age of the oldest order without a final state, as a gauge.
//!
//! It depends on no order that ends and on no event that arrives: an order whose events are lost shows up here, and nowhere
//! else. The gauge shows the last poll, and nothing while the database cannot be read. Replicas share the orders, and each
//! of them reports the oldest.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use service::error_chain::ErrorChain;
use telemetry::reading::LastReading;
use telemetry::vocabulary::Labels;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::names::metrics;
use crate::store::OpenOrders;

/// Interval of the polls: the alert's threshold is minutes. A poll reads one row by the primary key.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Polls the oldest open order.
#[derive(Debug)]
pub struct OpenOrdersWatch {
    orders: Arc<dyn OpenOrders>,
    /// When the oldest order was placed; the inner `None` if all orders are final.
    last: LastReading<Option<SystemTime>>,
}

impl OpenOrdersWatch {
    /// Registers the gauge; it has no value before [`Self::run`].
    pub fn new(orders: Arc<dyn OpenOrders>) -> Self {
        let last = LastReading::<Option<SystemTime>>::default();
        let oldest = last.display();
        metrics::ORDERS_OPEN_OLDEST_AGE
            .observe_time(move || oldest.last().map(|placed| (age(placed), Labels::default())));
        Self { orders, last }
    }

    /// Polls until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.poll().await;
        }
    }

    async fn poll(&self) {
        let oldest = self.orders.oldest().await.inspect_err(|error| {
            tracing::debug!(error = %ErrorChain(error), "oldest open order not read");
        });
        let oldest = oldest.map(|placed| placed.map(SystemTime::from));
        self.last.note(oldest.ok());
    }
}

/// Zero if all orders are final, or if the clock of the replica that placed the order is ahead.
fn age(placed: Option<SystemTime>) -> Duration {
    let age = placed.and_then(|placed| placed.elapsed().ok());
    age.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use outbox::HandOver;
    use telemetry::testing;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{OrderEvent, Timestamp};
    use crate::fixture::Fixture;
    use crate::store::ApplyOutcome;
    use crate::store::sqlite::SqliteStore;

    fn gauge() -> Option<f64> {
        testing::gauge(metrics::ORDERS_OPEN_OLDEST_AGE.name)
    }

    #[tokio::test]
    async fn the_age_is_that_of_the_oldest_order_without_a_final_state() {
        testing::record_spans();
        let fixture = Fixture::start().await;
        let store = SqliteStore::new(Arc::clone(&fixture.database), HandOver::default());
        let watch = OpenOrdersWatch::new(Arc::new(store));
        assert_eq!(gauge(), None);
        watch.poll().await;
        assert_eq!(gauge(), Some(0.0));

        // Placed in 1970.
        let order_id = fixture.placed().await;
        watch.poll().await;
        assert!(gauge().unwrap() > 1_000_000_000.0);

        let fulfilled = ApplyOutcome {
            order_id,
            event_id: Uuid::now_v7(),
            sequence: 1,
            event: Some(OrderEvent::OrderFulfilled),
            occurred_at: Timestamp::from_unix_millis(2_000),
        };
        fixture.store.apply(&[fulfilled]).await.unwrap();
        watch.poll().await;
        assert_eq!(gauge(), Some(0.0));

        fixture.database.close().await;
        watch.poll().await;
        assert_eq!(gauge(), None);
    }
}
