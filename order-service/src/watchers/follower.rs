//! News of orders that other replicas have moved on.
//!
//! A commit wakes the watchers of its own process. Where several processes share a database, the follower asks for the
//! versions of all orders that are watched here, in one query ten times a second and only if there are any, and wakes
//! those that moved. It does not use NOTIFY, which would make the commits of all replicas wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use service::error_chain::ErrorChain;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Watchers;
use crate::domain::OrderId;
use crate::store::{OrderStore, StoreError};

/// How long news from another replica takes at most, beside the query itself. A query for a thousand orders costs the
/// database a few milliseconds.
const EVERY: Duration = Duration::from_millis(100);

/// Follows the orders that are watched in this process.
#[derive(Debug)]
pub struct Follower {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    /// The versions of the orders that were watched at the last look.
    seen: HashMap<OrderId, u64>,
    is_failing: bool,
}

impl Follower {
    /// Follows, in this store, what these watchers wait for.
    pub fn new(store: Arc<dyn OrderStore>, watchers: Watchers) -> Self {
        Self {
            store,
            watchers,
            seen: HashMap::new(),
            is_failing: false,
        }
    }

    /// Follows until `shutdown`. Failures of the store delay it and are logged.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Dropping a look changes nothing, and a store that is away must not hold up a stop.
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.next_look(&mut ticks) => {}
            }
        }
    }

    async fn next_look(&mut self, ticks: &mut Interval) {
        ticks.tick().await;
        let looked = self.look().await;
        self.report(looked);
    }

    /// Wakes whoever watches an order that has moved on since the last look, or that is looked at for the first time:
    /// it may have moved before, but after its watcher has read it.
    async fn look(&mut self) -> Result<(), StoreError> {
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

    /// One line for an outage, however many looks fail.
    fn report(&mut self, looked: Result<(), StoreError>) {
        match looked {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(error = %ErrorChain(&error), "news from other replicas is delayed");
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

    /// A commit of which the watchers of this process are not told.
    async fn commit_elsewhere(fixture: &Fixture, order_id: OrderId) {
        let outcome = ApplyOutcome {
            order_id,
            event_id: Uuid::now_v7(),
            sequence: 1,
            event: OrderEvent::StockReserved,
            occurred_at: Timestamp::from_unix_millis(2_000),
        };
        fixture.store.apply(&[outcome]).await.unwrap();
    }

    #[tokio::test]
    async fn a_watcher_is_woken_by_what_another_process_commits_and_by_nothing_else() {
        let fixture = Fixture::start().await;
        let (moved, other) = (fixture.placed().await, fixture.placed().await);
        let mut watcher = fixture.watchers.subscribe(moved);
        let mut watcher_of_other = fixture.watchers.subscribe(other);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        follower.look().await.unwrap();
        assert!(watcher.news().now_or_never().is_some());
        assert!(watcher_of_other.news().now_or_never().is_some());

        commit_elsewhere(&fixture, moved).await;
        follower.look().await.unwrap();

        assert!(watcher.news().now_or_never().is_some());
        assert!(watcher_of_other.news().now_or_never().is_none());
        follower.look().await.unwrap();
        assert!(watcher.news().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_happened_between_the_subscription_and_the_first_look_is_news() {
        let fixture = Fixture::start().await;
        let order_id = fixture.placed().await;
        let mut watcher = fixture.watchers.subscribe(order_id);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());

        commit_elsewhere(&fixture, order_id).await;
        follower.look().await.unwrap();

        assert!(watcher.news().now_or_never().is_some());
    }

    #[tokio::test]
    async fn orders_that_nobody_watches_are_forgotten() {
        let fixture = Fixture::start().await;
        let watcher = fixture.watchers.subscribe(fixture.placed().await);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        follower.look().await.unwrap();
        assert_eq!(follower.seen.len(), 1);

        drop(watcher);
        follower.look().await.unwrap();

        assert!(follower.seen.is_empty());
    }

    #[tokio::test]
    async fn a_follower_outlives_a_store_that_fails_and_stops_when_told() {
        let fixture = Fixture::start().await;
        let _watcher = fixture.watchers.subscribe(fixture.placed().await);
        let mut follower = Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone());
        fixture.database.close().await;

        let looked = follower.look().await;
        follower.report(looked);

        assert!(follower.is_failing);
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        follower.run(shutdown).await;
    }
}
