//! The three writers of the service, one group commit each: many commands share a transaction, each gets its own reply.
//!
//! The work that follows a commit is done here and not by the caller, whose call may be cancelled by then: wake the relay,
//! wake the watchers, and count. Counts exclude retries and redeliveries, since those find their order stored or updated.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use outbox::OutboxSignal;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig};
use telemetry::instruments::{Counter, Histogram};
use telemetry::vocabulary::Labels;
use tokio_util::task::TaskTracker;

use crate::domain::Availability;
use crate::names::{self, attributes, metrics};
use crate::store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed, StoreError,
};
use crate::watchers::Watchers;

#[cfg(test)]
mod tests;

#[derive(Clone, Debug)]
pub struct Writers {
    pub place: GroupCommit<PlaceCommitter>,
    pub cancel: GroupCommit<CancelCommitter>,
    pub apply: GroupCommit<ApplyCommitter>,
}

impl Writers {
    /// Starts the writers on `tracker`; each ends when its last handle is dropped and its queue is empty. Only new orders
    /// have concurrent commits: two commits that update the same orders would wait for each other's row locks.
    pub fn start(
        store: &Arc<dyn OrderStore>,
        watchers: &Watchers,
        signal: &OutboxSignal,
        config: GroupCommitConfig,
        tracker: &TaskTracker,
    ) -> Self {
        let place = PlaceCommitter::new(Arc::clone(store), signal.clone());
        let cancel = CancelCommitter {
            store: Arc::clone(store),
            signal: signal.clone(),
            watchers: watchers.clone(),
        };
        let apply = ApplyCommitter {
            store: Arc::clone(store),
            watchers: watchers.clone(),
            counts: OrderCounts::default(),
        };
        let one_at_a_time = GroupCommitConfig {
            writers: 1,
            ..config
        };
        Self {
            place: GroupCommit::start(place, config, tracker),
            cancel: GroupCommit::start(cancel, one_at_a_time, tracker),
            apply: GroupCommit::start(apply, one_at_a_time, tracker),
        }
    }
}

#[derive(Debug)]
pub struct PlaceCommitter {
    store: Arc<dyn OrderStore>,
    signal: OutboxSignal,
    counts: OrderCounts,
}

impl PlaceCommitter {
    pub fn new(store: Arc<dyn OrderStore>, signal: OutboxSignal) -> Self {
        let counts = OrderCounts::default();
        Self {
            store,
            signal,
            counts,
        }
    }
}

#[async_trait]
impl Committer for PlaceCommitter {
    type Command = PlaceOrder;
    type Reply = Placed;
    type Error = StoreError;

    const NAME: &'static str = "place";

    async fn commit(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let replies = self.store.place(batch).await?;
        // No watcher to wake: the order id is not known outside yet.
        self.signal.notify();
        self.counts.accepted(batch, &replies);
        Ok(replies)
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        error.is_transient()
    }
}

#[derive(Debug)]
pub struct CancelCommitter {
    store: Arc<dyn OrderStore>,
    signal: OutboxSignal,
    watchers: Watchers,
}

#[async_trait]
impl Committer for CancelCommitter {
    type Command = CancelOrder;
    type Reply = CancelReply;
    type Error = StoreError;

    const NAME: &'static str = "cancel";

    async fn commit(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let replies = self.store.cancel(batch).await?;
        self.signal.notify();
        for (command, reply) in batch.iter().zip(&replies) {
            if matches!(reply, CancelReply::Requested(_)) {
                self.watchers.wake(command.order_id);
            }
        }
        Ok(replies)
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        error.is_transient()
    }
}

#[derive(Debug)]
pub struct ApplyCommitter {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    counts: OrderCounts,
}

#[async_trait]
impl Committer for ApplyCommitter {
    type Command = ApplyOutcome;
    type Reply = Applied;
    type Error = StoreError;

    const NAME: &'static str = "apply";

    async fn commit(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let replies = self.store.apply(batch).await?;
        for (command, reply) in batch.iter().zip(&replies) {
            if reply.moved_to().is_some() {
                self.watchers.wake(command.order_id);
            }
        }
        self.counts.ended(&replies);
        Ok(replies)
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        error.is_transient()
    }
}

#[derive(Debug)]
struct OrderCounts {
    accepted: Counter,
    completion: Histogram,
}

impl Default for OrderCounts {
    fn default() -> Self {
        Self {
            accepted: metrics::ORDERS_ACCEPTED.counter(),
            completion: metrics::ORDERS_COMPLETION_DURATION.histogram(),
        }
    }
}

impl OrderCounts {
    /// Counts the new orders of a batch.
    fn accepted(&self, batch: &[PlaceOrder], replies: &[Placed]) {
        for availability in Availability::ALL {
            let is_one = |(command, reply): &(&PlaceOrder, &Placed)| {
                **reply == Placed::New && command.order.availability == availability
            };
            let count = batch.iter().zip(replies).filter(is_one).count() as u64;
            if count > 0 {
                let name = names::availability(availability);
                let labels = Labels::of([attributes::ORDER_AVAILABILITY.label(name)]);
                self.accepted.add(count, &labels);
            }
        }
    }

    /// Measures the orders that a batch of outcomes has ended. Both times are from clocks of this service; with clock skew
    /// between two replicas, a negative duration counts as zero.
    fn ended(&self, replies: &[Applied]) {
        let now = SystemTime::now();
        for reply in replies {
            if let Applied::Ended {
                status,
                accepted_at,
            } = *reply
            {
                let since = now.duration_since(accepted_at.into());
                let labels = Labels::of([attributes::ORDER_STATUS.label(names::status(status))]);
                self.completion
                    .record_time(since.unwrap_or(Duration::ZERO), &labels);
            }
        }
    }
}
