//! A store in which an order ends between the read of its history and the next read.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use service::deadline::Deadline;

use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};
use crate::store::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed, StoreError,
};

#[derive(Debug)]
pub(super) struct RacingStore<S> {
    inner: S,
    outcome: ApplyOutcome,
    has_raced: AtomicBool,
}

impl<S: OrderStore> RacingStore<S> {
    /// Applies the outcome right after the first read of a history.
    pub(super) fn new(inner: S, outcome: ApplyOutcome) -> Self {
        Self {
            inner,
            outcome,
            has_raced: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl<S: OrderStore> OrderStore for RacingStore<S> {
    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let entries = self
            .inner
            .history(order_id, after_version, limit, deadline)
            .await;
        if !self.has_raced.swap(true, Ordering::Relaxed) {
            self.inner
                .apply(std::slice::from_ref(&self.outcome))
                .await?;
        }
        entries
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

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        self.inner.apply(batch).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
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

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        self.inner.versions(orders).await
    }
}
