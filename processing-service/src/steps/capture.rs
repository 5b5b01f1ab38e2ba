//! The second step: captures the payment.
//!
//! The gateway is called outside of any transaction, because a provider that hangs must not hold database locks. Before the
//! call, the stock is reserved durably; a capture is recorded in one commit with what follows it. After a crash between its
//! answer and that commit, the redelivered event calls the gateway again with the same idempotency key.

use service::crash_points::{CrashPoint, reach};
use tokio::time;

use super::gateway;
use super::pipeline::{Pipeline, StepError};
use crate::domain::{Order, SagaEvent, SagaState};
use crate::payment::{CaptureError, CaptureRequest};
use crate::store::Cause;

/// The provider's answer.
#[derive(Debug)]
pub(super) enum Captured {
    /// The payment is captured, which is not recorded yet.
    Payment(SagaEvent),
    /// There is no payment, which is recorded.
    Refused(SagaState),
}

impl Captured {
    pub(super) fn state(&self) -> SagaState {
        match self {
            Self::Payment(_) => SagaState::Captured,
            Self::Refused(state) => *state,
        }
    }
}

/// Captures the payment, and records a refusal.
pub(super) async fn run(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<Captured, StepError> {
    let event = capture(pipeline, order).await;
    if matches!(event, SagaEvent::PaymentCaptured(..)) {
        reach(CrashPoint::AfterCapture)?;
        return Ok(Captured::Payment(event));
    }
    let refused = pipeline.advance(order.id, vec![event], cause).await?;
    Ok(Captured::Refused(refused))
}

/// Retries until the provider answers or the attempts are exhausted.
async fn capture(pipeline: &Pipeline, order: &Order) -> SagaEvent {
    let policy = &pipeline.capture;
    let request = CaptureRequest {
        key: order.id,
        amount: order.total,
        token: order.payment_token.clone(),
    };
    for attempt in 1.. {
        match gateway::capture(pipeline, &request, attempt).await {
            Ok(capture_id) => return SagaEvent::PaymentCaptured(capture_id, order.total),
            Err(CaptureError::Declined) => return SagaEvent::PaymentDeclined,
            Err(CaptureError::Unavailable(_)) if attempt >= policy.attempts => break,
            Err(CaptureError::Unavailable(error)) => {
                tracing::debug!(order_id = %order.id, attempt, %error, "capture failed, retrying");
                time::sleep(policy.backoff.delay(attempt)).await;
            }
        }
    }
    tracing::warn!(order_id = %order.id, attempts = policy.attempts, "capture attempts exhausted");
    SagaEvent::PaymentUnavailable
}
