//! A store whose calls are observed. The summaries are the same on every database, whatever statements it needs.

use async_trait::async_trait;
use service::deadline::Deadline;
use sql::statements::{Query, Statement, Statements};

use super::{
    Applied, ApplyOutcome, CancelOrder, CancelReply, OrderStore, PlaceOrder, Placed, StoreError,
};
use crate::domain::{CustomerId, HistoryEntry, NewOrder, Order, OrderId};

/// A store, with what each of its calls takes.
#[derive(Debug)]
pub(super) struct ObservedStore<S> {
    store: S,
    place: Statement,
    placed_before: Statement,
    apply: Statement,
    cancel: Statement,
    get: Statement,
    list: Statement,
    history: Statement,
    versions: Statement,
}

impl<S> ObservedStore<S> {
    pub(super) fn new(store: S, statements: &Statements) -> Self {
        let several = |summary| statements.prepare(Query::transaction(summary));
        let orders = |summary| statements.prepare(Query::on(summary, "SELECT", "orders"));
        let history = Query::on("SELECT order_events", "SELECT", "order_events");
        Self {
            store,
            place: several("place orders"),
            placed_before: orders("SELECT orders by request"),
            apply: several("apply outcomes"),
            cancel: several("request cancellations"),
            get: orders("SELECT orders by id"),
            list: orders("SELECT orders by customer"),
            history: statements.prepare(history),
            versions: orders("SELECT orders versions"),
        }
    }
}

#[async_trait]
impl<S: OrderStore> OrderStore for ObservedStore<S> {
    async fn place(&self, batch: &[PlaceOrder]) -> Result<Vec<Placed>, StoreError> {
        let place = self.store.place(batch);
        self.place.run_batch(batch.len(), place).await
    }

    async fn placed_before(
        &self,
        request: &NewOrder,
        deadline: Deadline,
    ) -> Result<Option<Placed>, StoreError> {
        let look = self.store.placed_before(request, deadline);
        self.placed_before.run(look).await
    }

    async fn apply(&self, batch: &[ApplyOutcome]) -> Result<Vec<Applied>, StoreError> {
        let apply = self.store.apply(batch);
        self.apply.run_batch(batch.len(), apply).await
    }

    async fn cancel(&self, batch: &[CancelOrder]) -> Result<Vec<CancelReply>, StoreError> {
        let cancel = self.store.cancel(batch);
        self.cancel.run_batch(batch.len(), cancel).await
    }

    async fn get(
        &self,
        order_id: OrderId,
        deadline: Deadline,
    ) -> Result<Option<Order>, StoreError> {
        self.get.run(self.store.get(order_id, deadline)).await
    }

    async fn list(
        &self,
        customer_id: &CustomerId,
        before: Option<OrderId>,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<Order>, StoreError> {
        let list = self.store.list(customer_id, before, limit, deadline);
        self.list.run(list).await
    }

    async fn history(
        &self,
        order_id: OrderId,
        after_version: u64,
        limit: u32,
        deadline: Deadline,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let history = self.store.history(order_id, after_version, limit, deadline);
        self.history.run(history).await
    }

    async fn versions(&self, orders: &[OrderId]) -> Result<Vec<(OrderId, u64)>, StoreError> {
        self.versions.run(self.store.versions(orders)).await
    }
}
