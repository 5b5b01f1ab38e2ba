//! Batched stock reads.
//!
//! ```text
//! callers ──SKUs──▶ queue ──batch──▶ one statement for all SKUs of the batch ──▶ each caller its own levels
//! ```
//!
//! A burst of calls becomes a few statements: group commit, applied to reads. The queue is bounded, so load on a slow
//! database does not grow: when the queue is full, a call is rejected at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use tokio_util::task::TaskTracker;

use crate::domain::{Sku, StockLevel};
use crate::store::{ProcessingStore, StoreError};

/// Limits in production.
pub const BOUNDS: GroupCommitConfig = GroupCommitConfig {
    // A few thousand SKUs in one statement: a few milliseconds.
    max_batch: 200,
    // Five statements' worth. A call behind more of them would exceed the caller's deadline of tens of milliseconds.
    queue: 1_000,
    // Reads run concurrently, so a call need not wait for the statement before it. More writers would make batches smaller
    // and take connections from order processing.
    writers: 2,
};

/// Clones share the queue.
#[derive(Clone, Debug)]
pub struct StockReader {
    lookups: GroupCommit<StockLookup>,
}

impl StockReader {
    /// Starts the tasks on `tracker`; they end when the last handle is dropped.
    pub fn start(
        store: Arc<dyn ProcessingStore>,
        bounds: GroupCommitConfig,
        tracker: &TaskTracker,
    ) -> Self {
        Self {
            lookups: GroupCommit::start(StockLookup { store }, bounds, tracker),
        }
    }

    /// The stock of those SKUs that are in the catalogue.
    ///
    /// # Errors
    /// [`SubmitError`] when the queue is full or the read failed.
    pub async fn levels(
        &self,
        skus: BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, SubmitError<StoreError>> {
        self.lookups.submit(skus).await
    }
}

/// Reads all SKUs of a batch with one store call.
struct StockLookup {
    store: Arc<dyn ProcessingStore>,
}

#[async_trait]
impl Committer for StockLookup {
    type Command = BTreeSet<Sku>;
    type Reply = HashMap<Sku, StockLevel>;
    type Error = StoreError;

    const NAME: &'static str = "availability";

    /// A read makes nothing durable.
    const HAS_CRASH_POINTS: bool = false;

    async fn commit(&self, batch: &[BTreeSet<Sku>]) -> Result<Vec<Self::Reply>, StoreError> {
        let skus = batch.iter().flatten().cloned().collect();
        let levels = self.store.levels(&skus).await?;
        let levels_of = |skus: &BTreeSet<Sku>| {
            let known = skus.iter().filter_map(|sku| levels.get_key_value(sku));
            known.map(|(sku, level)| (sku.clone(), *level)).collect()
        };
        Ok(batch.iter().map(levels_of).collect())
    }
}
