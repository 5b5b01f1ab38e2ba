//! Attributes of spans.
//!
//! What is not here is left out on purpose: nothing says who ordered, what it costs or how it is paid.

use telemetry::vocabulary::Attribute;
use telemetry::vocabulary::ValueType::{Int, Text};

/// Of a step.
pub const ORDER_STEP: Attribute = Attribute::own(
    "order.step",
    Text,
    "What is done for the order: `reserve stock`, `capture payment`, `ship order`, `cancel order` or `compensate order`",
);
/// Of a step that ended in a rejection.
pub const ORDER_REJECTION_REASON: Attribute = Attribute::own(
    "order.rejection.reason",
    Text,
    "Why the order was rejected: `UNKNOWN_SKU`, `OUT_OF_STOCK`, `PAYMENT_DECLINED`, `PAYMENT_UNAVAILABLE` or `UNSPECIFIED`",
);
/// Of a call to the payment provider.
pub const PAYMENT_OPERATION: Attribute = Attribute::own(
    "payment.operation",
    Text,
    "What the payment provider is asked for: `capture` or `refund`",
);
/// Of a call to the payment provider.
pub const PAYMENT_ATTEMPT: Attribute = Attribute::own(
    "payment.attempt",
    Int,
    "Which attempt at the capture this is, from 1, within one attempt at the event",
);
