//! Watchers of orders in this process, and the history entries that are handed over to them.
//!
//! ```text
//! commits of this replica ──┐
//! crate::follower ──────────┼─▶ hand_over ─▶ Feed of the order ─▶ its subscriptions, each from the version it has sent
//! first read of a watcher ──┘
//! ```
//!
//! The feed of an order keeps the last entries, so that a watcher which keeps up reads nothing. It is a cache and not a queue:
//! each subscription takes the entry after the version that it has sent last. Entries that are handed over twice or out of
//! order are therefore sent once and in order; a subscription that finds a higher version but not its next one, because it
//! was too slow or because a hand-over was lost, is told to read the history ([`News::Behind`]).
//!
//! No entry is missed: a watcher subscribes before its first read, and a writer hands over after its commit. A hand-over that
//! is lost (the commit took effect but was reported as failed) is made up for by the next one, or by [`crate::follower`].

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{HistoryEntry, OrderId};

/// Entries that a feed keeps: the outcomes of an order that succeeds. It bounds the memory per watched order; a watcher that
/// is further behind reads.
const KEPT: usize = 3;

/// The feeds of the watched orders; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Watchers(Arc<Mutex<BTreeMap<OrderId, watch::Sender<Feed>>>>);

impl Watchers {
    pub fn subscribe(&self, order_id: OrderId) -> Subscription {
        let mut feeds = self.lock();
        let feed = feeds
            .entry(order_id)
            .or_insert_with(|| watch::channel(Feed::default()).0);
        Subscription {
            order_id,
            feed: feed.subscribe(),
            watchers: self.clone(),
        }
    }

    /// Gives committed entries to the watchers of their orders, in any order and as often as they are known. Returns how many
    /// were new to a watched order.
    pub fn hand_over(&self, entries: &[HistoryEntry]) -> usize {
        let feeds = self.lock();
        let is_new = |entry: &&HistoryEntry| {
            let feed = feeds.get(&entry.order_id);
            feed.is_some_and(|feed| feed.send_if_modified(|feed| feed.add(entry)))
        };
        entries.iter().filter(is_new).count()
    }

    /// Up to `limit` watched orders, each with its highest known version, or 0: those after `order_id`, then from the first
    /// one on.
    pub fn known_after(&self, order_id: OrderId, limit: usize) -> Vec<(OrderId, u64)> {
        let feeds = self.lock();
        let after = feeds.range((Excluded(order_id), Unbounded));
        let in_circle = after.chain(feeds.range(..=order_id)).take(limit);
        in_circle
            .map(|(watched, feed)| (*watched, feed.borrow().known()))
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn orders(&self) -> Vec<OrderId> {
        self.lock().keys().copied().collect()
    }

    /// A poisoned lock is safe to use: the map is consistent after every statement under the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<OrderId, watch::Sender<Feed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entries of one order with the highest versions that were handed over, ascending; at most [`KEPT`].
#[derive(Debug, Default)]
struct Feed(Vec<HistoryEntry>);

impl Feed {
    /// Returns whether the entry is new and was kept.
    fn add(&mut self, entry: &HistoryEntry) -> bool {
        let entries = &mut self.0;
        let at = entries.partition_point(|kept| kept.version < entry.version);
        let is_known = entries
            .get(at)
            .is_some_and(|kept| kept.version == entry.version);
        let is_too_old = at == 0 && entries.len() == KEPT;
        if is_known || is_too_old {
            return false;
        }
        entries.insert(at, entry.clone());
        if entries.len() > KEPT {
            entries.remove(0);
        }
        true
    }

    fn known(&self) -> u64 {
        self.0.last().map_or(0, |entry| entry.version)
    }

    fn after(&self, version: u64) -> News {
        let later = self.0.iter().find(|entry| entry.version > version);
        match (later, self.0.last()) {
            (Some(entry), _) if entry.version == version + 1 => News::Next(entry.clone()),
            (Some(_), _) => News::Behind,
            (None, Some(last)) if last.status.is_final() => News::Ended,
            (None, _) => News::None,
        }
    }
}

/// What a feed has for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The next entry.
    Next(HistoryEntry),
    /// The history goes on, but its next entry is not in the feed: read it.
    Behind,
    /// No entry, and none will follow: the order is final.
    Ended,
    /// No entry yet.
    None,
}

/// One watcher of one order. Dropping the last one of an order removes the feed.
#[derive(Debug)]
pub struct Subscription {
    order_id: OrderId,
    feed: watch::Receiver<Feed>,
    watchers: Watchers,
}

impl Subscription {
    /// What follows `version`, the last one that the watcher has sent.
    pub fn after(&mut self, version: u64) -> News {
        self.feed.borrow_and_update().after(version)
    }

    /// Completes when an entry was handed over since the last [`Subscription::after`].
    pub async fn changed(&mut self) {
        // Never an error: the map holds the sender as long as this subscription exists.
        let _ = self.feed.changed().await;
    }

    /// Gives the entries that this watcher has read to the feed, so that neither the follower nor another watcher reads them.
    pub fn share(&self, entries: &[HistoryEntry]) {
        self.watchers.hand_over(entries);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut feeds = self.watchers.lock();
        // Drop the receiver under the lock: two subscriptions that end concurrently would otherwise count each other.
        drop(std::mem::replace(
            &mut self.feed,
            watch::channel(Feed::default()).1,
        ));
        let is_last = feeds
            .get(&self.order_id)
            .is_some_and(|feed| feed.receiver_count() == 0);
        if is_last {
            feeds.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests;
