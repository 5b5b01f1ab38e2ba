//! A store that counts its stock reads.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use processing_service::catalogue::Catalogue;
use processing_service::domain::{OrderId, SagaEvent, SagaState, Sku, StockLevel};
use processing_service::store::{Cause, OpenSaga, ProcessingStore, Recorded, StoreError};

pub(crate) struct CountingStore {
    inner: Arc<dyn ProcessingStore>,
    reads: AtomicUsize,
}

impl CountingStore {
    pub(crate) fn new(inner: &Arc<dyn ProcessingStore>) -> Self {
        Self {
            inner: Arc::clone(inner),
            reads: AtomicUsize::new(0),
        }
    }

    /// Number of `levels` calls so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ProcessingStore for CountingStore {
    async fn levels(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.levels(skus).await
    }

    async fn open(&self, order: OpenSaga, cause: Cause) -> Result<Recorded, StoreError> {
        self.inner.open(order, cause).await
    }

    async fn advance(
        &self,
        order_id: OrderId,
        events: Vec<SagaEvent>,
        cause: Cause,
    ) -> Result<Recorded, StoreError> {
        self.inner.advance(order_id, events, cause).await
    }

    async fn announce_again(&self, order_id: OrderId, cause: Cause) -> Result<(), StoreError> {
        self.inner.announce_again(order_id, cause).await
    }

    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError> {
        self.inner.acknowledge(cause).await
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError> {
        self.inner.saga(order_id).await
    }

    async fn seed(&self, catalogue: &Catalogue) -> Result<u64, StoreError> {
        self.inner.seed(catalogue).await
    }
}
