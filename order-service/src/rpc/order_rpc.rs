//! The state that the methods share, and the checks that come before the work of each: the caller's identity, the
//! customer's rate limit, and the owner of the order.
//!
//! A customer is confined to their own orders. For an order of another customer the reply is the one for an order that does
//! not exist, so that a caller cannot find out which ids are in use.

use std::sync::Arc;

use grpc::auth::Caller;
use grpc::rate_limit::CustomerRateLimit;
use grpc::server::load_shed::ShedCalls;
use grpc::status::CallRejection;
use service::deadline::Deadline;
use telemetry::span;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::status::RpcError;
use crate::admission::Admission;
use crate::commit::Writers;
use crate::domain::{CustomerId, Order, OrderId};
use crate::history_reader::HistoryReader;
use crate::inventory::Inventory;
use crate::names::attributes;
use crate::store::OrderStore;
use crate::watchers::Watchers;

/// The state of the API; clones share it.
#[derive(Clone, Debug)]
pub struct OrderRpc {
    /// For reads; writes go through `writers`.
    pub store: Arc<dyn OrderStore>,
    /// For watchers.
    pub histories: HistoryReader,
    pub writers: Writers,
    pub watchers: Watchers,
    /// One permit per open WatchOrder stream.
    pub streams: Arc<Semaphore>,
    pub rate_limit: Arc<CustomerRateLimit>,
    pub admission: Admission,
    pub inventory: Inventory,
    /// Counts the calls that are shed.
    pub shed: ShedCalls,
    /// Ends open streams, which would otherwise delay the shutdown.
    pub shutdown: CancellationToken,
}

impl OrderRpc {
    /// The reply of a call, or its status; counts the call if it was shed.
    pub(super) fn reply<T>(&self, done: Result<T, RpcError>) -> Result<Response<T>, Status> {
        done.map(Response::new).map_err(|error| self.refuse(error))
    }

    /// The status of a failed call; counts the call if it was shed.
    pub(super) fn refuse(&self, error: RpcError) -> Status {
        if let Some(reason) = error.shed_reason() {
            self.shed.count(reason);
        }
        error.into()
    }

    /// Checks that the caller may act for this customer, then the customer's rate limit. In this order, a caller cannot use
    /// up the rate limit of another customer.
    pub(super) fn admit_for(&self, call: &Call, customer_id: &CustomerId) -> Result<(), RpcError> {
        if !call.caller.may_act_for(customer_id.as_str()) {
            return Err(RpcError::Refused(CallRejection::PermissionDenied));
        }
        self.check_rate(customer_id.as_str())
    }

    /// For a request that names no customer: checks the rate limit of the caller, if the caller is a customer.
    pub(super) fn admit(&self, call: &Call) -> Result<(), RpcError> {
        match call.caller.customer() {
            Some(customer) => self.check_rate(customer),
            None => Ok(()),
        }
    }

    fn check_rate(&self, customer: &str) -> Result<(), RpcError> {
        let checked = self.rate_limit.check(customer);
        checked.map_err(|delay| RpcError::Refused(CallRejection::RateLimited(delay)))
    }

    /// Reads an order that this caller may see.
    pub(super) async fn find_for(&self, call: &Call, order_id: OrderId) -> Result<Order, RpcError> {
        let order = self.store.get(order_id, call.deadline).await;
        let order = order.map_err(RpcError::of_read(call.deadline))?;
        order
            .filter(|order| call.caller.may_act_for(order.customer_id.as_str()))
            .ok_or(RpcError::OrderNotFound(order_id))
    }
}

/// The facts that the server's layers have added to a request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) deadline: Deadline,
}

impl Call {
    /// Reads the extensions of a request. A request without a caller has bypassed the authentication layer and is refused,
    /// even if authentication is off.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, RpcError> {
        let extensions = request.extensions();
        let caller = extensions.get::<Caller>().cloned();
        let deadline = extensions.get::<Deadline>().copied();
        Ok(Self {
            caller: caller.ok_or(RpcError::Refused(CallRejection::Unauthenticated))?,
            deadline: deadline.unwrap_or(Deadline::NEVER),
        })
    }
}

/// Sets the order id on the span of the call.
pub(super) fn record_order_id(order_id: OrderId) {
    span::describe_current(|| [attributes::ORDER_ID.of(order_id.to_string())]);
}
