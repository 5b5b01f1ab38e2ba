//! Spans.

use telemetry::names::attributes::ERROR_TYPE;
use telemetry::vocabulary::{NameOrigin, SpanKind, SpanType, always, sometimes};

use super::attributes as attr;

pub static STEP: SpanType = SpanType {
    name: "{order.step}",
    kind: SpanKind::Internal,
    brief: "One step of an order, up to its commit; a capture is committed by the step after it",
    relations: "A child of the attempt at the event",
    attributes: &[
        always(attr::ORDER_STEP),
        sometimes(attr::ORDER_REJECTION_REASON, "the step rejected the order"),
        sometimes(ERROR_TYPE, "it failed"),
    ],
    source: NameOrigin::Own,
};
pub static PAYMENT_GATEWAY: SpanType = SpanType {
    name: "{payment.operation} payment_gateway",
    kind: SpanKind::Client,
    brief: "One call to the payment provider, with the timeout PAYMENT_TIMEOUT",
    relations: "A child of its step",
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

pub static ALL: [&SpanType; 2] = [&STEP, &PAYMENT_GATEWAY];
