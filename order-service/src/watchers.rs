//! Watchers of orders in this process.
//!
//! A wake-up carries no data: the watcher reads the history after the last version that it has seen. So nothing is buffered
//! for a slow client, and a spurious wake-up costs one read. No change is missed: a watcher subscribes before it reads, and
//! a writer wakes after its commit. Commits of other replicas are found by [`crate::follower`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::OrderId;

/// The subscriptions, by order; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Watchers(Arc<Mutex<HashMap<OrderId, watch::Sender<()>>>>);

impl Watchers {
    pub fn subscribe(&self, order_id: OrderId) -> Subscription {
        let mut orders = self.lock();
        let sender = orders
            .entry(order_id)
            .or_insert_with(|| watch::channel(()).0);
        Subscription {
            order_id,
            wake_ups: sender.subscribe(),
            watchers: self.clone(),
        }
    }

    /// Wakes every watcher of an order, after its history has grown.
    pub fn wake(&self, order_id: OrderId) {
        if let Some(sender) = self.lock().get(&order_id) {
            sender.send_replace(());
        }
    }

    pub fn orders(&self) -> Vec<OrderId> {
        self.lock().keys().copied().collect()
    }

    /// A poisoned lock is safe to use: the map is consistent after every statement under the lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<OrderId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watcher of one order. Dropping it removes its entry from the map.
#[derive(Debug)]
pub struct Subscription {
    order_id: OrderId,
    wake_ups: watch::Receiver<()>,
    watchers: Watchers,
}

impl Subscription {
    /// Completes when the order was changed since the last call, or since the subscription.
    pub async fn changed(&mut self) {
        // Never an error: the map holds the sender as long as this subscription exists.
        let _ = self.wake_ups.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut orders = self.watchers.lock();
        // Drop the receiver under the lock: two subscriptions that end concurrently would otherwise count each other.
        drop(std::mem::replace(&mut self.wake_ups, watch::channel(()).1));
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
    async fn a_change_after_the_subscription_is_not_missed() {
        let watchers = Watchers::default();
        let mut subscription = watchers.subscribe(order(1));

        watchers.wake(order(1));

        assert!(subscription.changed().now_or_never().is_some());
        assert!(subscription.changed().now_or_never().is_none());
    }

    #[tokio::test]
    async fn every_watcher_of_the_order_is_woken_and_no_other() {
        let watchers = Watchers::default();
        let mut one = watchers.subscribe(order(1));
        let mut another = watchers.subscribe(order(1));
        let mut other_order = watchers.subscribe(order(2));

        watchers.wake(order(1));

        assert!(one.changed().now_or_never().is_some());
        assert!(another.changed().now_or_never().is_some());
        assert!(other_order.changed().now_or_never().is_none());
    }

    #[test]
    fn the_last_watcher_removes_the_entry_of_the_order() {
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
