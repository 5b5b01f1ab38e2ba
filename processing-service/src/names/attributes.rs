//! Attributes of spans.
//!
//! On purpose there is no attribute for the customer, the amount or the payment token.

use telemetry::vocabulary::Attribute;
use telemetry::vocabulary::ValueType::{Int, Text};

pub const ORDER_STEP: Attribute = Attribute::own(
    "order.step",
    Text,
    "The step: `reserve stock`, `capture payment`, `ship order`, `cancel order` or `compensate order`",
);
pub const ORDER_REJECTION_REASON: Attribute = Attribute::own(
    "order.rejection.reason",
    Text,
    "Why the order was rejected: `UNKNOWN_SKU`, `OUT_OF_STOCK`, `PAYMENT_DECLINED`, `PAYMENT_UNAVAILABLE` or `UNSPECIFIED`",
);
pub const PAYMENT_OPERATION: Attribute = Attribute::own(
    "payment.operation",
    Text,
    "The call to the payment provider: `capture` or `refund`",
);
pub const PAYMENT_ATTEMPT: Attribute = Attribute::own(
    "payment.attempt",
    Int,
    "Number of the capture attempt, from 1, within one attempt at the event",
);
