//! Calls to the payment provider: each one bounded, and seen in the trace of its order. The provider is somebody else, so
//! nothing of what it is told is shown.

use telemetry::span::Span;
use tokio::time;

use super::Pipeline;
use crate::domain::{CaptureId, OrderId};
use crate::names::{attributes, spans};
use crate::payment::{CaptureError, CaptureRequest, GatewayUnavailable};

/// `error.type` of a call that was given up.
const TIMED_OUT: &str = "timed_out";

/// Asks for the money, for the so many-th time.
pub(super) async fn capture(
    pipeline: &Pipeline,
    request: &CaptureRequest,
    attempt: u32,
) -> Result<CaptureId, CaptureError> {
    let span = begin("capture payment_gateway", "capture");
    span.set(&attributes::PAYMENT_ATTEMPT, i64::from(attempt));
    let answer = pipeline.gateway.capture(request);
    let answer = time::timeout(pipeline.capture.timeout, span.carry(answer)).await;
    match &answer {
        Ok(Ok(_)) => {}
        Ok(Err(CaptureError::Declined)) => span.fail("declined"),
        Ok(Err(CaptureError::Unavailable(_))) => span.fail("unavailable"),
        Err(_) => span.fail(TIMED_OUT),
    }
    answer.unwrap_or(Err(CaptureError::Unavailable(GatewayUnavailable)))
}

/// Asks to give the money back.
pub(super) async fn refund(
    pipeline: &Pipeline,
    order_id: OrderId,
) -> Result<(), GatewayUnavailable> {
    let span = begin("refund payment_gateway", "refund");
    let answer = pipeline.gateway.refund(order_id);
    let answer = time::timeout(pipeline.capture.timeout, span.carry(answer)).await;
    match &answer {
        Ok(Ok(())) => {}
        Ok(Err(GatewayUnavailable)) => span.fail("unavailable"),
        Err(_) => span.fail(TIMED_OUT),
    }
    answer.unwrap_or(Err(GatewayUnavailable))
}

fn begin(name: &'static str, operation: &'static str) -> Span {
    let span = spans::PAYMENT_GATEWAY.within(name);
    span.set(&attributes::PAYMENT_OPERATION, operation);
    span
}
