//! The telemetry names of this service; those of [`telemetry::names`] are common to all services.
//!
//! They are this project's own: the semantic conventions cover calls, messages and databases, but not orders. The
//! reference page (docs/telemetry.md) and the registry (docs/telemetry/registry.yaml) are generated from these values.

pub mod attributes;
pub mod metrics;
pub mod spans;

use crate::domain::{Availability, OrderStatus};

/// The value of `order.status`.
pub fn status(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Accepted => "accepted",
        OrderStatus::Processing => "processing",
        OrderStatus::CancelRequested => "cancel_requested",
        OrderStatus::Fulfilled => "fulfilled",
        OrderStatus::Rejected(_) => "rejected",
        OrderStatus::Cancelled => "cancelled",
    }
}

/// The value of `order.availability`.
pub fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::NotChecked => "not_checked",
        Availability::Confirmed => "confirmed",
        Availability::Unverified => "unverified",
    }
}
