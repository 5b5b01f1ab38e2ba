//! The contract of the pair, and nothing else: generated messages and services, topic names, and how an event becomes
//! a Kafka record and back.
//!
//! It depends on no runtime, broker or database, so that every crate may depend on it.

pub use generated::{inventory, orders, processing};

#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from the .proto files"
)]
mod generated {
    /// The API and the events of order-service.
    pub mod orders {
        pub mod v1 {
            tonic::include_proto!("orders.v1");
        }
    }

    /// The availability check of processing-service.
    pub mod inventory {
        pub mod v1 {
            tonic::include_proto!("inventory.v1");
        }
    }

    /// The events of processing-service, and the processing of an order inside of a call.
    pub mod processing {
        pub mod v1 {
            tonic::include_proto!("processing.v1");
        }
    }
}

pub mod event;
pub mod record;
pub mod topics;

/// All descriptors of the contract, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The retry policy of clients, as a gRPC service config (gRFC A6). Clients in other languages, such as Go and Java, use the
/// same file as their default service config.
///
/// Only UNAVAILABLE is retried, and every method is safe to retry: PlaceOrder by its request_id, CancelOrder by the state of
/// the order, WatchOrder before its first message.
pub const SERVICE_CONFIG: &str = include_str!("../orders/v1/service_config.json");
