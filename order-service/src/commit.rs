//! The three writers of the service, one group commit each: many commands share a transaction, each gets its own reply.
//!
//! The work that follows a commit is done here and not by the caller, whose call may be cancelled by then: hand the history
//! entries over to the watchers, and count. Counts exclude retries and redeliveries, since those find their order stored or
//! updated. The store has handed the events over to the relay.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig};
use telemetry::instruments::{Counter, Histogram};
use telemetry::vocabulary::Labels;
use tokio_util::task::TaskTracker;

use crate::domain::Availability;
use crate::names::{self, attributes, metrics};
use crate::store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, Committed, OrderStore, PlaceOrder, Placed,
    StoreError,
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
        config: GroupCommitConfig,
        tracker: &TaskTracker,
    ) -> Self {
        let store = StoreWriter::new(Arc::clone(store), watchers.clone());
        let one_at_a_time = GroupCommitConfig {
            writers: 1,
            ..config
        };
        Self {
            place: GroupCommit::start(PlaceCommitter(store.clone()), config, tracker),
            cancel: GroupCommit::start(CancelCommitter(store.clone()), one_at_a_time, tracker),
            apply: GroupCommit::start(ApplyCommitter(store), one_at_a_time, tracker),
        }
    }
}

/// The store, and the work that follows a commit.
#[derive(Clone, Debug)]
pub struct StoreWriter {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    counts: OrderCounts,
}

impl StoreWriter {
    pub fn new(store: Arc<dyn OrderStore>, watchers: Watchers) -> Self {
        Self {
            store,
            watchers,
            counts: OrderCounts::default(),
        }
    }
}

#[derive(Debug)]
pub struct PlaceCommitter(pub StoreWriter);

#[async_trait]
impl Committer for PlaceCommitter {
    type Command = PlaceOrder;
    type Reply = Placed;
    type Error = StoreError;

    const NAME: &'static str = "place";

    async fn commit(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let replies = self.0.store.place(batch).await?;
        // No watcher to hand the first entry to: the order id is not known outside yet.
        self.0.counts.accepted(batch, &replies);
        Ok(replies)
    }
}

#[derive(Debug)]
pub struct CancelCommitter(StoreWriter);

#[async_trait]
impl Committer for CancelCommitter {
    type Command = CancelOrder;
    type Reply = CancelReply;
    type Error = StoreError;

    const NAME: &'static str = "cancel";

    async fn commit(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let Committed { replies, entries } = self.0.store.cancel(batch).await?;
        self.0.watchers.hand_over(&entries);
        Ok(replies)
    }
}

#[derive(Debug)]
pub struct ApplyCommitter(StoreWriter);

#[async_trait]
impl Committer for ApplyCommitter {
    type Command = ApplyOutcome;
    type Reply = Applied;
    type Error = StoreError;

    const NAME: &'static str = "apply";

    async fn commit(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let Committed { replies, entries } = self.0.store.apply(batch).await?;
        self.0.watchers.hand_over(&entries);
        self.0.counts.ended(&replies);
        Ok(replies)
    }
}

#[derive(Clone, Debug)]
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
