//! Attributes of spans and metrics.
//!
//! Customer, price and payment are left out on purpose.

use telemetry::vocabulary::Attribute;
use telemetry::vocabulary::ValueType::Text;

/// Spans only: a metric would have one time series per order.
pub const ORDER_ID: Attribute = Attribute::own("order.id", Text, "The id of the order");
pub const ORDER_AVAILABILITY: Attribute = Attribute::own(
    "order.availability",
    Text,
    "The result of the availability check when the order was accepted: `confirmed`, `unverified` or `not_checked`",
);
pub const ORDER_STATUS: Attribute = Attribute::own(
    "order.status",
    Text,
    "The new state of the order: `processing`, `fulfilled`, `rejected` or `cancelled`; metrics have the last three",
);
pub const ORDER_REJECTION_REASON: Attribute = Attribute::own(
    "order.rejection.reason",
    Text,
    "Why the order was rejected: `UNKNOWN_SKU`, `OUT_OF_STOCK`, `PAYMENT_DECLINED`, `PAYMENT_UNAVAILABLE` or `UNSPECIFIED`",
);
