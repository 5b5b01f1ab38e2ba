//! Spans.

use telemetry::names::attributes::ERROR_TYPE;
use telemetry::vocabulary::{NameOrigin, SpanKind, SpanType, always, sometimes};

use super::attributes as attr;

/// A step of an order.
pub static STEP: SpanType = SpanType {
    name: "{order.step}",
    kind: SpanKind::Internal,
    brief: "One step of an order, to its commit",
    relations: "A child of the attempt at the event",
    attributes: &[
        always(attr::ORDER_STEP),
        sometimes(
            attr::ORDER_REJECTION_REASON,
            "the step has rejected the order",
        ),
        sometimes(ERROR_TYPE, "it failed"),
    ],
    source: NameOrigin::Own,
};
/// A call to the payment provider.
pub static PAYMENT_GATEWAY: SpanType = SpanType {
    name: "{payment.operation} payment_gateway",
    kind: SpanKind::Client,
    brief: "One call to the payment provider: one attempt, given up after PAYMENT_TIMEOUT",
    relations: "A child of the step that needs it",
    attributes: &[
        always(attr::PAYMENT_OPERATION),
        sometimes(attr::PAYMENT_ATTEMPT, "it is a capture"),
        sometimes(
            ERROR_TYPE,
            "it failed: `declined`, `timed_out` or `unavailable`",
        ),
    ],
    source: NameOrigin::Own,
};

/// All of them.
pub static ALL: [&SpanType; 2] = [&STEP, &PAYMENT_GATEWAY];
