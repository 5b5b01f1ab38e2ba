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
    span.set(&attr::PAYMENT_OPERATION, operation);
    span
}
