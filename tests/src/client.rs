//! The client's side of order-service: connections, what an error says, retries, and watching an order to its end.
//!
//! The replay and `orderctl` stand on it. It does what a well-behaved client does: every call has a deadline, only
//! transient errors are retried, and a retry is the same request with the same request id.

pub mod connections;
pub mod failure;
pub mod recorded;
pub mod retry;
pub mod token;
pub mod vocabulary;
pub mod watch;

#[cfg(test)]
pub(crate) mod fake;

/// The generated client on the connection used here.
pub type OrderClient =
    proto::orders::v1::order_service_client::OrderServiceClient<tonic::transport::Channel>;
