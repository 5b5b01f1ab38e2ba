//! Wakes watchers after commits of other replicas.
//!
//! A commit wakes the watchers of its own process. If several processes share a database, the follower polls the versions of
//! all orders that are watched here, in one query ten times a second and only if there are any, and wakes the watchers of
//! those that changed. It does not use NOTIFY, which serialises the commits of all replicas.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use service::error_chain::ErrorChain;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::OrderId;
use crate::store::{OrderStore, StoreError};
use crate::watchers::Watchers;

/// Maximum delay of a wake-up after a commit of another replica, plus the query. A query for a thousand orders costs the
/// database a few milliseconds.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Follower {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    /// The versions at the last poll.
    seen: HashMap<OrderId, u64>,
    is_failing: bool,
}

impl Follower {
    pub fn new(store: Arc<dyn OrderStore>, watchers: Watchers) -> Self {
        Self {
            store,
            watchers,
            seen: HashMap::new(),
            is_failing: false,
        }
    }

    /// Polls until `shutdown`. Store errors are logged, and the next poll retries.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Cancelling a poll is safe, and an unavailable store must not delay the shutdown.
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.next_poll(&mut ticks) => {}
            }
        }
    }

    async fn next_poll(&mut self, ticks: &mut Interval) {
        ticks.tick().await;
        let polled = self.poll().await;
        self.report(polled);
    }

    /// Wakes the watchers of every order that has changed since the last poll, or that is polled for the first time: it may
    /// have changed after its watcher has read it.
    async fn poll(&mut self) -> Result<(), StoreError> {
        let watched = self.watchers.orders();
        if watched.is_empty() {
            self.seen.clear();
            return Ok(());
        }
        let versions = self.store.versions(&watched).await?;
        for (order_id, version) in &versions {
            if self.seen.get(order_id) != Some(version) {
                self.watchers.wake(*order_id);
            }
        }
        self.seen = versions.into_iter().collect();
        Ok(())
    }

    /// Logs an outage once, not per failed poll.
    fn report(&mut self, polled: Result<(), StoreError>) {
        match polled {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(error = %ErrorChain(&error), "version poll failed, changes by other replicas are delayed");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{OrderEvent, Timestamp};
    use crate::fixture::Fixture;
    use crate::store::ApplyOutcome;

    /// A commit that does not wake the watchers of this process.
    async fn commit_elsewhere(fixture: &Fixture, order_id: OrderId) {
        let outcome = ApplyOutcome {
            order_id,
            event_id: Uuid::now_v7(),
            sequence: 1,
            event: Some(OrderEvent::StockReserved),
            occurred_at: Timestamp::from_unix_millis(2_000),
        };
        fixture.store.apply(&[outcome]).await.unwrap();
    }

    #[tokio::test]
    async fn a_watcher_is_woken_only_by_a_commit_to_its_order() {
        let fixture = Fixture::start().await;
        let (moved, other) = (fixture.placed().await, fixture.placed().await);
        let mut watcher = fixture.watchers.subscribe(moved);
        let mut watcher_of_other = fixture.watchers.subscribe(other);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        follower.poll().await.unwrap();
        assert!(watcher.changed().now_or_never().is_some());
        assert!(watcher_of_other.changed().now_or_never().is_some());

        commit_elsewhere(&fixture, moved).await;
        follower.poll().await.unwrap();

        assert!(watcher.changed().now_or_never().is_some());
        assert!(watcher_of_other.changed().now_or_never().is_none());
        follower.poll().await.unwrap();
        assert!(watcher.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_change_between_the_subscription_and_the_first_poll_wakes_the_watcher() {
        let fixture = Fixture::start().await;
        let order_id = fixture.placed().await;
        let mut watcher = fixture.watchers.subscribe(order_id);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());

        commit_elsewhere(&fixture, order_id).await;
        follower.poll().await.unwrap();

        assert!(watcher.changed().now_or_never().is_some());
    }

    #[tokio::test]
    async fn orders_without_watchers_are_removed() {
        let fixture = Fixture::start().await;
        let watcher = fixture.watchers.subscribe(fixture.placed().await);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        follower.poll().await.unwrap();
        assert_eq!(follower.seen.len(), 1);

        drop(watcher);
        follower.poll().await.unwrap();

        assert!(follower.seen.is_empty());
    }

    #[tokio::test]
    async fn a_follower_survives_store_errors_and_stops_on_shutdown() {
        let fixture = Fixture::start().await;
        let _watcher = fixture.watchers.subscribe(fixture.placed().await);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        fixture.database.close().await;

        let polled = follower.poll().await;
        follower.report(polled);

        assert!(follower.is_failing);
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        follower.run(shutdown).await;
    }
}
