//! One call of each operation, written to the journal that the auditor reads.

use std::time::Duration;

use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, Order, WatchOrderRequest,
};
use tonic::{Request, Status};

use super::baskets::Baskets;
use super::known_orders::{KnownOrder, KnownOrders};
use super::mix::Operation;
use super::trace::TraceContext;
use crate::client::connections::Connections;
use crate::client::recorded;
use crate::client::token::BearerToken;
use crate::open_loop::answer::within;
use crate::replay::journal::Journal;

/// Orders of a listed page: what fits on a screen.
const PAGE: i32 = 20;

/// The client of a run.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) connections: Connections,
    pub(super) token: Option<BearerToken>,
    /// Of each call, from its send; also sent to the service.
    pub(super) deadline: Duration,
    pub(super) journal: Journal,
    pub(super) baskets: Baskets,
    pub(super) known: KnownOrders,
}

impl Caller {
    /// Calls an operation and returns the order that was placed, if one was.
    ///
    /// # Errors
    /// The status of the answer, or DEADLINE_EXCEEDED.
    pub(super) async fn call(
        &self,
        operation: Operation,
        trace: &TraceContext,
    ) -> Result<Option<Order>, Status> {
        let known = self.known.any();
        within(self.deadline, async {
            match (operation, known) {
                // Before the first order there is nothing to read.
                (Operation::Place, _) | (_, None) => self.place(trace).await.map(Some),
                (Operation::Get, Some(known)) => self.get(known, trace).await.map(|()| None),
                (Operation::List, Some(known)) => self.list(known, trace).await.map(|()| None),
                (Operation::Watch, Some(known)) => self.watch(known, trace).await.map(|()| None),
                (Operation::Cancel, Some(known)) => self.cancel(known, trace).await.map(|()| None),
            }
        })
        .await
    }

    /// The operation that [`Caller::call`] makes of one: a placement while no order is known.
    pub(super) fn possible(&self, operation: Operation) -> Operation {
        self.known.any().map_or(Operation::Place, |_| operation)
    }

    async fn place(&self, trace: &TraceContext) -> Result<Order, Status> {
        let basket = self.baskets.next();
        let request = self.request(basket.request, trace);
        let mut client = self.connections.next();
        let order =
            recorded::place(&mut client, &self.journal, request, Some(&basket.invoice)).await?;
        self.known.add(&order);
        Ok(order)
    }

    async fn get(&self, known: KnownOrder, trace: &TraceContext) -> Result<(), Status> {
        let order_id = known.order_id;
        let request = self.request(GetOrderRequest { order_id }, trace);
        recorded::get(&mut self.connections.next(), &self.journal, request).await?;
        Ok(())
    }

    async fn list(&self, known: KnownOrder, trace: &TraceContext) -> Result<(), Status> {
        let message = ListOrdersRequest {
            customer_id: known.customer_id,
            page_size: PAGE,
            page_token: String::new(),
        };
        let request = self.request(message, trace);
        self.connections.next().list_orders(request).await?;
        Ok(())
    }

    /// Until the first event; the stream is closed then.
    async fn watch(&self, known: KnownOrder, trace: &TraceContext) -> Result<(), Status> {
        let message = WatchOrderRequest {
            order_id: known.order_id,
            after_version: 0,
        };
        let request = self.request(message, trace);
        let stream = self.connections.next().watch_order(request).await?;
        let first = stream.into_inner().message().await?;
        first
            .ok_or_else(|| Status::data_loss("the history is empty"))
            .map(drop)
    }

    async fn cancel(&self, known: KnownOrder, trace: &TraceContext) -> Result<(), Status> {
        let order_id = known.order_id;
        let request = self.request(CancelOrderRequest { order_id }, trace);
        recorded::cancel(&mut self.connections.next(), &self.journal, request).await?;
        Ok(())
    }

    fn request<T>(&self, message: T, trace: &TraceContext) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        trace.show(&mut request);
        if let Some(token) = &self.token {
            token.show(&mut request);
        }
        request
    }
}
