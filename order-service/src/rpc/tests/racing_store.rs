//! A store that counts the reads of histories, and in which an order can change beside the first of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use service::deadline::Deadline;

use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};
use crate::store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, Committed, History, OrderStore, PlaceOrder,
    Placed, StoreError,
};
use crate::watchers::Watchers;

#[derive(Debug)]
pub(super) struct RacingStore<S> {
    inner: S,
    race: Option<(ApplyOutcome, Watchers)>,
    reads: AtomicUsize,
}

impl<S: OrderStore> RacingStore<S> {
    /// Right after the first read of a history the outcome is committed and handed over.
    pub(super) fn new(inner: S, race: Option<(ApplyOutcome, Watchers)>) -> Self {
        Self {
            inner,
            race,
            reads: AtomicUsize::new(0),
        }
    }

    /// The reads of histories so far.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl<S: OrderStore> OrderStore for RacingStore<S> {
    async fn histories(
        &self,
        after: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<Option<History>>, StoreError> {
        let histories = self.inner.histories(after, limit).await;
        let is_first = self.reads.fetch_add(after.len(), Ordering::Relaxed) == 0;
        if let (true, Some((outcome, watchers))) = (is_first, &self.race) {
            let committed = self.inner.apply(std::slice::from_ref(outcome)).await?;
            watchers.hand_over(&committed.entries);
        }
        histories
    }

    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        self.inner.place(batch).await
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        self.inner.placed_before(request, deadline).await
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Committed<Applied>, StoreError> {
        self.inner.apply(batch).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Committed<CancelReply>, StoreError> {
        self.inner.cancel(batch).await
    }

    async fn get(
        &self,
        order_id: OrderId,
        deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        self.inner.get(order_id, deadline).await
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        self.inner.list(customer_id, before, limit, deadline).await
    }

    async fn entries_after(
        &self,
        known: &[(OrderId, u64)],
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        self.inner.entries_after(known, limit).await
    }
}
