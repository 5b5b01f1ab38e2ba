//! Reading the stock for many callers at once.
//!
//! ```text
//! callers ──look──▶ queue ──whatever waits──▶ one statement for all their SKUs ──▶ each caller its own levels
//! ```
//!
//! A burst of calls becomes a handful of statements: what group commit does for those who write, it does here for those
//! who ask. The queue is bounded, so a database that has become slow is not asked for more and more: who finds the queue
//! full is refused at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use tokio_util::task::TaskTracker;

use crate::domain::{Sku, StockLevel};
use crate::store::{ProcessingStore, StoreError};

/// Bounds of the reading.
pub const BOUNDS: GroupCommitConfig = GroupCommitConfig {
    // Some thousand SKUs in one statement: a few milliseconds.
    max_batch: 200,
    // What is behind five statements waits longer than a caller does, who has tens of milliseconds.
    queue: 1_000,
    // Readers do not exclude each other, and a look does not wait for the statement before it; more would make the
    // statements smaller and take connections from those who process.
    writers: 2,
};

/// The stock, as many may ask for it at once; clones share the queue.
#[derive(Clone, Debug)]
pub struct StockReader {
    looks: GroupCommit<Reading>,
}

impl StockReader {
    /// Starts to read on `tracker`, until the last handle is gone.
    pub fn start(
        store: Arc<dyn ProcessingStore>,
        bounds: GroupCommitConfig,
        tracker: &TaskTracker,
    ) -> Self {
        Self {
            looks: GroupCommit::start(Reading { store }, bounds, tracker),
        }
    }

    /// The stock of those of these SKUs that the catalogue has.
    ///
    /// # Errors
    /// [`SubmitError`] when there are too many looks before this one, or it failed.
    pub async fn levels(
        &self,
        skus: BTreeSet<Sku>,
    ) -> Result<HashMap<Sku, StockLevel>, SubmitError<StoreError>> {
        self.looks.submit(skus).await
    }
}

/// Reads the stock of all SKUs that a batch asks for.
struct Reading {
    store: Arc<dyn ProcessingStore>,
}

#[async_trait]
impl Committer for Reading {
    type Command = BTreeSet<Sku>;
    type Reply = HashMap<Sku, StockLevel>;
    type Error = StoreError;

    const NAME: &'static str = "availability";

    /// Nothing is durable before or after it.
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

    /// No SKU can make a look fail: whatever failed one of them would have failed all.
    fn concerns_whole_batch(&self, _: &StoreError) -> bool {
        true
    }
}
