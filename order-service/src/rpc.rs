//! The API of the service. One file per method, all of one shape: parse, decide, persist, reply.

use std::sync::Arc;

use grpc::rate_limit::CustomerRateLimit;
use grpc::server::load_shed::ShedCalls;
use grpc::status::CallRejection;
use proto::orders::v1 as messages;
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use service::deadline::Deadline;
use service::error_chain::ErrorChain;
use sql::group_commit::SubmitError;
use telemetry::span;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::admission::Admission;
use crate::commit::Writers;
use crate::domain::{Order, OrderId};
use crate::edge::RpcError;
use crate::inventory::Inventory;
use crate::names::attributes;
use crate::store::{OrderStore, StoreError};
use crate::watchers::Watchers;

mod access;

mod place_order;

mod get_order;
mod list_orders;

mod watch_order;

mod cancel_order;

#[cfg(test)]
mod tests;

use access::Call;

/// Largest request message: 500 lines with the longest names need some 50 KiB.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// What the methods work with.
#[derive(Clone, Debug)]
pub struct OrderRpc {
    /// Where orders are read.
    pub store: Arc<dyn OrderStore>,
    /// Through whom they are written.
    pub writers: Writers,
    /// Who waits for news.
    pub watchers: Watchers,
    /// A permit for each stream that may be open.
    pub streams: Arc<Semaphore>,
    /// What each customer may ask for.
    pub fair_share: Arc<CustomerRateLimit>,
    /// Whether new orders are accepted.
    pub admission: Admission,
    /// Who is asked whether an order can be had.
    pub inventory: Inventory,
    /// The calls that it refuses.
    pub shed: ShedCalls,
    /// Ends the streams, which would otherwise keep a stopping server waiting.
    pub shutdown: CancellationToken,
}

impl OrderRpc {
    /// The service as a route for the server.
    pub fn into_server(self) -> OrderServiceServer<Self> {
        OrderServiceServer::new(self).max_decoding_message_size(MAX_REQUEST_BYTES)
    }

    /// The answer to a call that cannot be carried out; one that was shed is counted.
    fn refuse(&self, error: RpcError) -> Status {
        if let Some(reason) = error.shed_reason() {
            self.shed.count(reason);
        }
        error.into()
    }

    async fn find(&self, order_id: OrderId, deadline: Deadline) -> Result<Order, RpcError> {
        let order = self
            .store
            .get(order_id, deadline)
            .await
            .map_err(read_failed(deadline))?;
        order.ok_or(RpcError::OrderNotFound(order_id))
    }
}

#[tonic::async_trait]
impl OrderService for OrderRpc {
    async fn place_order(
        &self,
        request: Request<messages::PlaceOrderRequest>,
    ) -> Result<Response<messages::PlaceOrderResponse>, Status> {
        let call = Call::of(&request)?;
        let response = place_order::place_order(self, &call, request.into_inner()).await;
        let response = response.map_err(|error| self.refuse(error))?;
        Ok(Response::new(response))
    }

    async fn get_order(
        &self,
        request: Request<messages::GetOrderRequest>,
    ) -> Result<Response<messages::GetOrderResponse>, Status> {
        let call = Call::of(&request)?;
        let response = get_order::get_order(self, &call, request.get_ref()).await;
        let response = response.map_err(|error| self.refuse(error))?;
        Ok(Response::new(response))
    }

    async fn list_orders(
        &self,
        request: Request<messages::ListOrdersRequest>,
    ) -> Result<Response<messages::ListOrdersResponse>, Status> {
        let call = Call::of(&request)?;
        let response = list_orders::list_orders(self, &call, request.into_inner()).await;
        let response = response.map_err(|error| self.refuse(error))?;
        Ok(Response::new(response))
    }

    type WatchOrderStream = BoxStream<messages::WatchOrderResponse>;

    async fn watch_order(
        &self,
        request: Request<messages::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let call = Call::of(&request)?;
        let stream = watch_order::watch_order(self, &call, request.get_ref()).await;
        let stream = stream.map_err(|error| self.refuse(error))?;
        Ok(Response::new(stream))
    }

    async fn cancel_order(
        &self,
        request: Request<messages::CancelOrderRequest>,
    ) -> Result<Response<messages::CancelOrderResponse>, Status> {
        let call = Call::of(&request)?;
        let response = cancel_order::cancel_order(self, &call, request.get_ref()).await;
        let response = response.map_err(|error| self.refuse(error))?;
        Ok(Response::new(response))
    }
}

/// Tells the span of the call which order it is about.
fn describe(order_id: OrderId) {
    span::describe_current(|| [attributes::ORDER_ID.of(order_id.to_string())]);
}

/// What a client may know of a failed read; the log gets the rest. A database that gives a read up because the deadline of
/// its call has passed has not failed.
fn read_failed(deadline: Deadline) -> impl Fn(StoreError) -> RpcError {
    move |error| match error {
        StoreError::Unavailable { .. } if deadline.has_passed() => {
            RpcError::Refused(CallRejection::DeadlineExceeded)
        }
        error => store_failed(error),
    }
}

fn store_failed(error: StoreError) -> RpcError {
    match error {
        StoreError::Unavailable { operation, source } => {
            tracing::warn!(operation, error = %ErrorChain(source.as_ref()), "store unavailable");
            RpcError::StoreUnavailable
        }
        StoreError::Damaged { operation, source } => {
            tracing::error!(operation, error = %ErrorChain(source.as_ref()), "stored data is damaged");
            RpcError::Internal
        }
    }
}

/// What a client may know of a failed write.
fn write_failed(error: SubmitError<StoreError>) -> RpcError {
    match error {
        SubmitError::QueueFull => RpcError::Overloaded,
        SubmitError::Stopped => RpcError::ShuttingDown,
        // One caller of the batch has logged the reason.
        SubmitError::BatchFailed => RpcError::StoreUnavailable,
        SubmitError::Failed(error) => store_failed(error),
    }
}
