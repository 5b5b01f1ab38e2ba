//! Hands the entries of other replicas over to the watchers of this one.
//!
//! A commit hands its entries to the watchers in its own process. If several processes share a database, the follower reads
//! the entries of the others: ten times a second, in one statement, the entries after the last known version of each watched
//! order, and only if there are any. It also finds an entry whose hand-over was lost. It does not use NOTIFY, which serialises
//! the commits of all replicas.
//!
//! The cost is bounded whatever the number of watchers: a round asks for at most [`MAX_ORDERS`], the next round for the orders
//! after those, in a circle. While rounds find nothing, because all watched orders are changed by this replica, they become
//! smaller, down to [`MIN_ORDERS`].

use std::sync::Arc;
use std::time::Duration;

use service::error_chain::ErrorChain;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::OrderId;
use crate::store::{OrderStore, StoreError};
use crate::watchers::Watchers;

/// Maximum delay of an entry of another replica, plus the read, while a round asks for every watched order.
const ROUND: Duration = Duration::from_millis(100);

/// Orders of a round while other replicas change watched orders: 10,000 lookups in a primary key per second. With 10,000
/// watched orders the delay is a second.
const MAX_ORDERS: usize = 1_000;

/// Orders of a round while no other replica does: as many watched orders have the full speed at any time.
const MIN_ORDERS: usize = 250;

/// Entries per order and round: more than an order gets in that time; further ones follow in the next rounds.
const ENTRIES: usize = 4;

#[derive(Debug)]
pub struct Follower {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    /// The last order of the previous round.
    last: OrderId,
    /// Orders of the next round.
    orders: usize,
    is_failing: bool,
}

impl Follower {
    pub fn new(store: Arc<dyn OrderStore>, watchers: Watchers) -> Self {
        Self {
            store,
            watchers,
            last: OrderId::new(Uuid::nil()),
            orders: MAX_ORDERS,
            is_failing: false,
        }
    }

    /// Follows until `shutdown`. Store errors are logged, and the next round retries.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(ROUND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Cancelling a round is safe, and an unavailable store must not delay the shutdown.
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.next_round(&mut ticks) => {}
            }
        }
    }

    async fn next_round(&mut self, ticks: &mut Interval) {
        ticks.tick().await;
        let done = self.round().await;
        self.report(done);
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let known = self.watchers.known_after(self.last, self.orders);
        let Some((last, _)) = known.last() else {
            return Ok(());
        };
        let entries = self.store.entries_after(&known, ENTRIES).await?;
        self.last = *last;
        let new = self.watchers.hand_over(&entries);
        self.orders = next_orders(self.orders, new);
        Ok(())
    }

    /// Logs an outage once, not per failed round.
    fn report(&mut self, done: Result<(), StoreError>) {
        match done {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(error = %ErrorChain(&error), "history poll failed, changes by other replicas are delayed");
            }
            Err(_) => {}
        }
    }
}

/// The size of the next round, after one that found this many new entries. Eleven rounds without any lead from the largest to
/// the smallest.
fn next_orders(orders: usize, new: usize) -> usize {
    if new > 0 {
        MAX_ORDERS
    } else {
        (orders - orders / 8).max(MIN_ORDERS)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::{OrderEvent, Timestamp};
    use crate::fixture::Fixture;
    use crate::store::ApplyOutcome;
    use crate::watchers::{News, Subscription};

    fn follower(fixture: &Fixture) -> Follower {
        Follower::new(Arc::clone(&fixture.store), fixture.watchers.clone())
    }

    /// A commit that is not handed over in this process.
    async fn commit_elsewhere(fixture: &Fixture, order_id: OrderId, sequence: u64) {
        let outcome = ApplyOutcome {
            order_id,
            event_id: Uuid::now_v7(),
            sequence,
            event: Some(OrderEvent::StockReserved),
            occurred_at: Timestamp::from_unix_millis(2_000),
        };
        fixture.store.apply(&[outcome]).await.unwrap();
    }

    /// The versions that a watcher gets without a read.
    fn versions_after(subscription: &mut Subscription, version: u64) -> Vec<u64> {
        let mut versions = Vec::new();
        let mut last = version;
        while let News::Next(entry) = subscription.after(last) {
            last = entry.version;
            versions.push(last);
        }
        versions
    }

    #[tokio::test]
    async fn entries_of_another_replica_are_handed_to_the_watchers_of_their_order_and_no_other() {
        let fixture = Fixture::start().await;
        let (moved, other) = (fixture.placed().await, fixture.placed().await);
        let mut watcher = fixture.watchers.subscribe(moved);
        let mut watcher_of_other = fixture.watchers.subscribe(other);
        let mut follower = follower(&fixture);
        follower.round().await.unwrap();
        assert_eq!(versions_after(&mut watcher, 0), [1]);
        assert_eq!(versions_after(&mut watcher_of_other, 0), [1]);

        commit_elsewhere(&fixture, moved, 1).await;
        commit_elsewhere(&fixture, moved, 2).await;
        follower.round().await.unwrap();

        assert!(watcher.changed().now_or_never().is_some());
        assert_eq!(versions_after(&mut watcher, 1), [2, 3]);
        assert!(watcher_of_other.changed().now_or_never().is_none());
        follower.round().await.unwrap();
        assert!(watcher.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn an_entry_between_the_subscription_and_the_first_round_is_handed_over() {
        let fixture = Fixture::start().await;
        let order_id = fixture.placed().await;
        let mut watcher = fixture.watchers.subscribe(order_id);

        commit_elsewhere(&fixture, order_id, 1).await;
        follower(&fixture).round().await.unwrap();

        assert_eq!(versions_after(&mut watcher, 1), [2]);
    }

    #[tokio::test]
    async fn each_watched_order_has_its_turn_when_a_round_is_too_small_for_all() {
        let fixture = Fixture::start().await;
        let mut watchers = Vec::new();
        for _ in 0..5 {
            let order_id = fixture.placed().await;
            watchers.push(fixture.watchers.subscribe(order_id));
        }
        let mut follower = follower(&fixture);

        let mut found = Vec::new();
        for _ in 0..3 {
            follower.orders = 2;
            follower.round().await.unwrap();
            let has_entry = |watcher: &mut Subscription| watcher.after(0) != News::None;
            found.push(watchers.iter_mut().map(has_entry).filter(|it| *it).count());
        }

        assert_eq!(found, [2, 4, 5]);
    }

    #[tokio::test]
    async fn rounds_become_smaller_while_this_replica_makes_all_changes() {
        let fixture = Fixture::start().await;
        let order_id = fixture.placed().await;
        let _watcher = fixture.watchers.subscribe(order_id);
        let mut follower = follower(&fixture);
        for _ in 0..20 {
            follower.round().await.unwrap();
        }
        assert_eq!(follower.orders, MIN_ORDERS);

        commit_elsewhere(&fixture, order_id, 1).await;
        follower.round().await.unwrap();

        assert_eq!(follower.orders, MAX_ORDERS);
    }

    #[tokio::test]
    async fn a_follower_survives_store_errors_and_stops_on_shutdown() {
        let fixture = Fixture::start().await;
        let _watcher = fixture.watchers.subscribe(fixture.placed().await);
        let mut follower = follower(&fixture);
        fixture.database.close().await;

        let done = follower.round().await;
        follower.report(done);

        assert!(follower.is_failing);
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        follower.run(shutdown).await;
    }
}
