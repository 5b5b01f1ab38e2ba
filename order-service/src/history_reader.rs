//! Batched reads of histories, for watchers.
//!
//! ```text
//! watchers ──order, version──▶ queue ──batch──▶ one statement for all of them ──▶ each its part of a history
//! ```
//!
//! A burst of new watchers becomes a few statements: group commit, applied to reads. As each open stream waits for at most one
//! read, the limit of open streams bounds the callers.

use std::sync::Arc;

use async_trait::async_trait;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use tokio_util::task::TaskTracker;

use crate::domain::OrderId;
use crate::store::{History, OrderStore, StoreError};

/// Entries per history and read: more than any order has today, so one read is enough.
pub const PAGE: usize = 16;

const BOUNDS: GroupCommitConfig = GroupCommitConfig {
    // Some thousand entries: a few milliseconds.
    max_batch: 200,
    queue: 1_000,
    // As for the stock reader of processing-service: a caller need not wait for the statement before it. More would make
    // batches smaller and take connections from the writers.
    writers: 2,
};

/// Clones share the queue.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    reads: GroupCommit<HistoryLookup>,
}

impl HistoryReader {
    /// Starts the tasks on `tracker`; they end when the last handle is dropped.
    pub fn start(store: &Arc<dyn OrderStore>, tracker: &TaskTracker) -> Self {
        let lookup = HistoryLookup {
            store: Arc::clone(store),
        };
        Self {
            reads: GroupCommit::start(lookup, BOUNDS, tracker),
        }
    }

    /// Up to [`PAGE`] entries above a version; `None` if there is no such order.
    ///
    /// # Errors
    /// [`SubmitError`] when the read failed. A full queue is waited for.
    pub async fn read(
        &self,
        order_id: OrderId,
        after_version: u64,
    ) -> Result<Option<History>, SubmitError<StoreError>> {
        self.reads.submit_waiting((order_id, after_version)).await
    }
}

/// Reads the histories of a batch with one store call.
#[derive(Debug)]
struct HistoryLookup {
    store: Arc<dyn OrderStore>,
}

#[async_trait]
impl Committer for HistoryLookup {
    type Command = (OrderId, u64);
    type Reply = Option<History>;
    type Error = StoreError;

    const NAME: &'static str = "history";

    /// A read makes nothing durable.
    const HAS_CRASH_POINTS: bool = false;

    async fn commit(&self, batch: &[(OrderId, u64)]) -> Result<Vec<Self::Reply>, StoreError> {
        self.store.histories(batch, PAGE).await
    }
}
