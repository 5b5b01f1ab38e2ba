//! A subscription gets each entry once and in order, whatever is handed over, and nothing grows.

use futures::FutureExt;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::{EventType, OrderStatus, Timestamp};

fn order(number: u128) -> OrderId {
    OrderId::new(Uuid::from_u128(number))
}

fn entry_of(order_id: OrderId, version: u64, status: OrderStatus) -> HistoryEntry {
    HistoryEntry {
        order_id,
        version,
        event_id: Uuid::from_u128(version.into()),
        event_type: EventType::StockReserved,
        status,
        occurred_at: Timestamp::from_unix_millis(1_000),
        cause_id: None,
    }
}

fn entry(version: u64) -> HistoryEntry {
    entry_of(order(1), version, OrderStatus::Processing)
}

#[tokio::test]
async fn an_entry_that_is_handed_over_after_the_subscription_is_not_missed() {
    let watchers = Watchers::default();
    let mut subscription = watchers.subscribe(order(1));
    assert_eq!(subscription.after(1), News::None);

    watchers.hand_over(&[entry(2)]);

    assert!(subscription.changed().now_or_never().is_some());
    assert_eq!(subscription.after(1), News::Next(entry(2)));
    assert_eq!(subscription.after(2), News::None);
    assert!(subscription.changed().now_or_never().is_none());
}

#[tokio::test]
async fn every_watcher_of_the_order_gets_the_entry_and_no_other() {
    let watchers = Watchers::default();
    let mut one = watchers.subscribe(order(1));
    let mut another = watchers.subscribe(order(1));
    let mut other_order = watchers.subscribe(order(2));

    assert_eq!(watchers.hand_over(&[entry(2)]), 1);

    assert_eq!(one.after(1), News::Next(entry(2)));
    assert_eq!(another.after(1), News::Next(entry(2)));
    assert!(other_order.changed().now_or_never().is_none());
}

#[test]
fn an_entry_that_is_handed_over_again_is_no_news() {
    let watchers = Watchers::default();
    let mut subscription = watchers.subscribe(order(1));
    watchers.hand_over(&[entry(2)]);
    assert_eq!(subscription.after(1), News::Next(entry(2)));

    assert_eq!(watchers.hand_over(&[entry(2)]), 0);

    assert!(subscription.changed().now_or_never().is_none());
    assert_eq!(subscription.after(2), News::None);
}

#[test]
fn entries_that_are_handed_over_out_of_order_are_given_in_order() {
    let watchers = Watchers::default();
    let mut subscription = watchers.subscribe(order(1));

    watchers.hand_over(&[entry(3)]);
    assert_eq!(subscription.after(1), News::Behind);
    watchers.hand_over(&[entry(2)]);

    assert_eq!(subscription.after(1), News::Next(entry(2)));
    assert_eq!(subscription.after(2), News::Next(entry(3)));
}

#[test]
fn a_final_entry_ends_the_watchers_that_have_seen_it_or_started_beyond_it() {
    let watchers = Watchers::default();
    let mut subscription = watchers.subscribe(order(1));

    let last = entry_of(order(1), 3, OrderStatus::Fulfilled);
    watchers.hand_over(std::slice::from_ref(&last));

    assert_eq!(subscription.after(1), News::Behind);
    assert_eq!(subscription.after(2), News::Next(last));
    assert_eq!(subscription.after(3), News::Ended);
    assert_eq!(subscription.after(100), News::Ended);
}

#[test]
fn a_slow_watcher_is_told_to_read_and_its_feed_does_not_grow() {
    let watchers = Watchers::default();
    let mut subscription = watchers.subscribe(order(1));

    for version in 2..=1_000 {
        watchers.hand_over(&[entry(version)]);
        assert!(subscription.feed.borrow().0.len() <= KEPT);
    }

    assert_eq!(subscription.after(1), News::Behind);
    assert_eq!(subscription.after(997), News::Next(entry(998)));
    assert_eq!(watchers.hand_over(&[entry(2)]), 0);
}

#[test]
fn the_watched_orders_are_listed_in_a_circle_with_what_is_known_of_each() {
    let watchers = Watchers::default();
    let _subscriptions = [3, 1, 2].map(|number| watchers.subscribe(order(number)));
    watchers.hand_over(&[entry(2)]);

    let known = |after, limit| watchers.known_after(order(after), limit);

    assert_eq!(known(0, 2), [(order(1), 2), (order(2), 0)]);
    assert_eq!(known(2, 2), [(order(3), 0), (order(1), 2)]);
    assert_eq!(known(2, 10), [(order(3), 0), (order(1), 2), (order(2), 0)]);
    assert_eq!(Watchers::default().known_after(order(2), 10), []);
}

#[test]
fn the_last_watcher_removes_the_feed_of_the_order() {
    let watchers = Watchers::default();
    let one = watchers.subscribe(order(1));
    let another = watchers.subscribe(order(1));

    drop(one);
    assert_eq!(watchers.orders(), [order(1)]);
    drop(another);
    assert_eq!(watchers.orders(), []);
    assert_eq!(watchers.hand_over(&[entry(2)]), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Commit,
    /// Of one of the committed entries: late, again or out of order.
    HandOver(prop::sample::Index),
    /// The watcher takes one entry, or reads if it is told to.
    Watch,
    /// The follower reads what is committed and not known.
    Follow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Commit),
        any::<prop::sample::Index>().prop_map(Step::HandOver),
        Just(Step::Watch),
        Just(Step::Follow),
    ]
}

/// A watcher and the history that it reads.
struct Model {
    watchers: Watchers,
    subscription: Subscription,
    committed: u64,
    seen: Vec<u64>,
}

impl Model {
    fn start() -> Self {
        let watchers = Watchers::default();
        Self {
            subscription: watchers.subscribe(order(1)),
            watchers,
            committed: 1,
            seen: vec![1],
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit => self.committed += 1,
            Step::HandOver(index) => {
                let version = 1 + index.index(self.committed as usize) as u64;
                self.watchers.hand_over(&[entry(version)]);
            }
            Step::Watch => {
                self.watch();
            }
            Step::Follow => self.follow(),
        }
    }

    /// Returns whether it saw an entry.
    fn watch(&mut self) -> bool {
        let last = self.seen.last().copied().unwrap_or_default();
        match self.subscription.after(last) {
            News::Next(entry) => self.seen.push(entry.version),
            News::Behind => self.seen.extend(last + 1..=self.committed),
            News::Ended | News::None => return false,
        }
        true
    }

    fn follow(&self) {
        for (_, known) in self.watchers.known_after(order(0), 1) {
            for version in known + 1..=self.committed {
                self.watchers.hand_over(&[entry(version)]);
            }
        }
    }
}

proptest! {
    #[test]
    fn each_entry_is_seen_once_and_in_order_whatever_is_handed_over(
        steps in prop::collection::vec(step(), 0..60)
    ) {
        let mut model = Model::start();

        for step in steps {
            model.take(step);
        }
        model.follow();
        while model.watch() {}

        let history: Vec<u64> = (1..=model.committed).collect();
        prop_assert_eq!(model.seen, history);
    }
}
