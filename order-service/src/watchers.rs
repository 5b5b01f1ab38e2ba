//! Who waits for news of an order, in this process.
//!
//! A wake-up carries no data: the watcher reads the history from the version it has seen last. So nothing is buffered
//! for a slow client, and a wake-up too many costs one read. Two rules make it impossible to miss news: a watcher
//! subscribes before it reads, and a writer wakes after it has committed. What other processes commit is found out by
//! the [`Follower`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::OrderId;

mod follower;

pub use follower::Follower;

/// The watchers of all orders; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Watchers(Arc<Mutex<HashMap<OrderId, watch::Sender<()>>>>);

impl Watchers {
    /// Subscribes to news of an order, from now on.
    pub fn subscribe(&self, order_id: OrderId) -> Subscription {
        let mut orders = self.lock();
        let sender = orders
            .entry(order_id)
            .or_insert_with(|| watch::channel(()).0);
        Subscription {
            order_id,
            news: sender.subscribe(),
            watchers: self.clone(),
        }
    }

    /// Tells every watcher of an order that its history has grown.
    pub fn wake(&self, order_id: OrderId) {
        if let Some(sender) = self.lock().get(&order_id) {
            sender.send_replace(());
        }
    }

    /// The orders that are watched.
    pub fn orders(&self) -> Vec<OrderId> {
        self.lock().keys().copied().collect()
    }

    /// The map is consistent after every statement under the lock, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<OrderId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher of one order; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Subscription {
    order_id: OrderId,
    news: watch::Receiver<()>,
    watchers: Watchers,
}

impl Subscription {
    /// Completes when there was news since the last call, or since the subscription.
    pub async fn news(&mut self) {
        // The sender lives in the map for as long as this subscription does, so there is always something to wait for.
        let _ = self.news.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut orders = self.watchers.lock();
        // The receiver goes under the lock: of two subscriptions that end at once, each would count the other's.
        drop(std::mem::replace(&mut self.news, watch::channel(()).1));
        let is_last = orders
            .get(&self.order_id)
            .is_some_and(|sender| sender.receiver_count() == 0);
        if is_last {
            orders.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn order(number: u128) -> OrderId {
        OrderId::new(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn news_after_the_subscription_is_not_missed() {
        let watchers = Watchers::default();
        let mut subscription = watchers.subscribe(order(1));

        watchers.wake(order(1));

        assert!(subscription.news().now_or_never().is_some());
        assert!(subscription.news().now_or_never().is_none());
    }

    #[tokio::test]
    async fn every_watcher_of_the_order_is_woken_and_no_other() {
        let watchers = Watchers::default();
        let mut one = watchers.subscribe(order(1));
        let mut another = watchers.subscribe(order(1));
        let mut stranger = watchers.subscribe(order(2));

        watchers.wake(order(1));

        assert!(one.news().now_or_never().is_some());
        assert!(another.news().now_or_never().is_some());
        assert!(stranger.news().now_or_never().is_none());
    }

    #[test]
    fn the_last_watcher_leaves_nothing_behind() {
        let watchers = Watchers::default();
        let one = watchers.subscribe(order(1));
        let another = watchers.subscribe(order(1));

        drop(one);
        assert_eq!(watchers.orders(), [order(1)]);
        drop(another);
        assert_eq!(watchers.orders(), []);
        watchers.wake(order(1));
    }
}
