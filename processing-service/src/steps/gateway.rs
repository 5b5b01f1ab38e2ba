//! Calls to the payment provider, each with a timeout and a client span. The provider is an external system: no trace
//! context is sent to it, and spans carry none of the request's data.

use telemetry::span::Span;
use tokio::time;

use super::pipeline::Pipeline;
use crate::domain::{CaptureId, OrderId};
use crate::names::{attributes as attr, spans};
use crate::payment::{CaptureError, CaptureRequest, GatewayUnavailable};

/// `error.type` of a call that exceeded its timeout.
const TIMED_OUT: &str = "timed_out";

/// Captures the payment, attempt N.
pub(super) async fn capture(
    pipeline: &Pipeline,
    request: &CaptureRequest,
    attempt: u32,
) -> Result<CaptureId, CaptureError> {
    let span = begin("capture payment_gateway", "capture");
    span.set(&attr::PAYMENT_ATTEMPT, i64::from(attempt));
    call(pipeline, &span, pipeline.gateway.capture(request)).await
}

pub(super) async fn refund(
    pipeline: &Pipeline,
    order_id: OrderId,
) -> Result<(), GatewayUnavailable> {
    let span = begin("refund payment_gateway", "refund");
    call(pipeline, &span, pipeline.gateway.refund(order_id)).await
}

fn begin(name: &'static str, operation: &'static str) -> Span {
    let span = spans::PAYMENT_GATEWAY.within(name);
    span.set(&attr::PAYMENT_OPERATION, operation);
    span
}

async fn call<T, E: Copy + Into<CaptureError> + From<GatewayUnavailable>>(
    pipeline: &Pipeline,
    span: &Span,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answer = time::timeout(pipeline.capture.timeout, span.carry(answer)).await;
    let Ok(answer) = answer else {
        span.fail(TIMED_OUT);
        return Err(GatewayUnavailable.into());
    };
    answer.inspect_err(|&error| match error.into() {
        CaptureError::Declined => span.fail("declined"),
        CaptureError::Unavailable(_) => span.fail("unavailable"),
    })
}
