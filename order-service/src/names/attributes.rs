//! Attributes of spans and metrics.
//!
//! What is not here is left out on purpose: nothing says who ordered, what it costs or how it is paid.

use telemetry::vocabulary::Attribute;
use telemetry::vocabulary::ValueType::Text;

/// Of whatever is about one order. Spans only: a metric would have a time series of each.
pub const ORDER_ID: Attribute = Attribute::own("order.id", Text, "The id of the order");
/// Of an order that was accepted.
pub const ORDER_AVAILABILITY: Attribute = Attribute::own(
    "order.availability",
    Text,
    "What was known of the stock when the order was accepted: `confirmed`, `unverified` or `not_checked`",
);
/// Of an order that moved.
pub const ORDER_STATUS: Attribute = Attribute::own(
    "order.status",
    Text,
    "The state that the order got into: `processing`, `fulfilled`, `rejected` or `cancelled`; metrics have the last three",
);
/// Of an order that was rejected.
pub const ORDER_REJECTION_REASON: Attribute = Attribute::own(
    "order.rejection.reason",
    Text,
    "Why the order was rejected: `UNKNOWN_SKU`, `OUT_OF_STOCK`, `PAYMENT_DECLINED`, `PAYMENT_UNAVAILABLE` or `UNSPECIFIED`",
);
