//! Whose call it is, by when it must be answered, and what the caller may see and do.
//!
//! A customer is confined to their own orders. The order of somebody else is not there for them: the answer is the one
//! for an order that does not exist, so that nobody learns which ids are taken.

use grpc::auth::Caller;
use grpc::status::CallRejection;
use service::deadline::Deadline;
use tonic::Request;

use super::OrderRpc;
use crate::domain::{CustomerId, Order, OrderId};
use crate::edge::RpcError;

/// What the layers of the server know of a call.
#[derive(Debug)]
pub(super) struct Call {
    /// Who calls.
    pub(super) caller: Caller,
    /// By when the answer must be there.
    pub(super) deadline: Deadline,
}

impl Call {
    /// What stands beside the message of a request. One that does not say who calls has come past the layer that knows;
    /// it is refused, whatever is configured.
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

impl OrderRpc {
    /// Lets a call for this customer through: if the caller may make it, it is counted against the customer.
    pub(super) fn admit_for(&self, call: &Call, customer_id: &CustomerId) -> Result<(), RpcError> {
        // In this order: nobody can use up the share of somebody else.
        if !call.caller.may_act_for(customer_id.as_str()) {
            return Err(RpcError::Refused(CallRejection::PermissionDenied));
        }
        self.count(customer_id.as_str())
    }

    /// Lets a call through that names no customer: it is counted against the caller, if that is a customer.
    pub(super) fn admit(&self, call: &Call) -> Result<(), RpcError> {
        match call.caller.customer() {
            Some(customer) => self.count(customer),
            None => Ok(()),
        }
    }

    /// An order as far as it is there for this caller.
    pub(super) async fn find_for(&self, call: &Call, order_id: OrderId) -> Result<Order, RpcError> {
        let order = self.find(order_id, call.deadline).await?;
        if call.caller.may_act_for(order.customer_id.as_str()) {
            Ok(order)
        } else {
            Err(RpcError::OrderNotFound(order_id))
        }
    }

    fn count(&self, customer: &str) -> Result<(), RpcError> {
        let counted = self.fair_share.check(customer);
        counted.map_err(|delay| RpcError::Refused(CallRejection::RateLimited(delay)))
    }
}
