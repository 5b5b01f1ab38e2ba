//! The client of order-service: connections, error details, retries, and following an order to its final state.
//!
//! Used by the replay and `orderctl`. It is a well-behaved client: every call has a deadline, only transient errors are
//! retried, and a retry is the same request with the same request id.

pub mod connections;
pub mod failure;
pub mod recorded;
pub mod retry;
pub mod token;
pub mod vocabulary;
pub mod watch;

#[cfg(test)]
pub(crate) mod fake;

pub type OrderClient =
    proto::orders::v1::order_service_client::OrderServiceClient<tonic::transport::Channel>;
