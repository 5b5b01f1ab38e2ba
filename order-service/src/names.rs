//! Every name that telemetry of this service uses beside those of the chassis, once.
//!
//! They are this project's own: the semantic conventions know calls, messages and databases, and no orders. The
//! reference page (docs/telemetry.md) and the registry (docs/telemetry/registry.yaml) are written from these values.

pub mod attributes;
pub mod metrics;
pub mod spans;

use crate::domain::{Availability, OrderStatus};

/// A state as telemetry spells it.
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

/// What was known of the stock, as telemetry spells it.
pub fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::NotChecked => "not_checked",
        Availability::Confirmed => "confirmed",
        Availability::Unverified => "unverified",
    }
}
