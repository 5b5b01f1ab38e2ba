//! The three writers of the service, each one a group commit: many commands, one transaction, an answer each.
//!
//! What has to follow a commit stands here and not with the caller, who may be gone by then: the relay is woken for new
//! events, the watchers of every order that moved, and what is counted is counted once.

use std::sync::Arc;

use async_trait::async_trait;
use outbox::OutboxSignal;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig};
use tokio_util::task::TaskTracker;

use crate::store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed, StoreError,
};
use crate::watchers::Watchers;

mod counts;

#[cfg(test)]
mod tests;

use counts::OrderCounts;

/// The writers, shared by everything that writes.
#[derive(Clone, Debug)]
pub struct Writers {
    /// For PlaceOrder.
    pub place: GroupCommit<PlaceCommitter>,
    /// For CancelOrder.
    pub cancel: GroupCommit<CancelCommitter>,
    /// For the outcomes of processing.
    pub apply: GroupCommit<ApplyCommitter>,
}

impl Writers {
    /// Starts the writers on `tracker`; each ends when its last handle is gone and its queue is empty. Several commits
    /// at once are for new orders only: what moves orders on meets the same orders again and would wait for their
    /// locks.
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
            counted: OrderCounts::default(),
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

/// Commits new orders.
#[derive(Debug)]
pub struct PlaceCommitter {
    store: Arc<dyn OrderStore>,
    signal: OutboxSignal,
    counted: OrderCounts,
}

impl PlaceCommitter {
    /// Commits to `store` and wakes the relay by `signal`.
    pub fn new(store: Arc<dyn OrderStore>, signal: OutboxSignal) -> Self {
        let counted = OrderCounts::default();
        Self {
            store,
            signal,
            counted,
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
        // Nobody can watch an order that nobody has been told of: there are no watchers to wake.
        self.signal.notify();
        self.counted.accepted(batch, &replies);
        Ok(replies)
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        error.is_passing()
    }
}

/// Commits wishes to cancel.
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
        error.is_passing()
    }
}

/// Commits outcomes of processing.
#[derive(Debug)]
pub struct ApplyCommitter {
    store: Arc<dyn OrderStore>,
    watchers: Watchers,
    counted: OrderCounts,
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
        self.counted.ended(&replies);
        Ok(replies)
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        error.is_passing()
    }
}
