//! The second step: capture the payment.
//!
//! The gateway is called outside any transaction, because a provider that hangs must not hold the database. A crash
//! between its answer and our commit is repaired by calling again with the same idempotency key.

use std::time::Duration;

use service::backoff::Backoff;
use service::crash_points::{CrashPoint, reach};
use tokio::time;

use super::{Pipeline, StepError, gateway, observed};
use crate::domain::{Order, SagaEvent, SagaState};
use crate::payment::{CaptureError, CaptureRequest};
use crate::store::Cause;

/// How patient the capture is with the provider.
#[derive(Clone, Copy, Debug)]
pub struct CapturePolicy {
    /// Attempts before the order is rejected, at least 1.
    pub attempts: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
}

/// Captures and records what the provider said.
pub async fn run(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let capturing = async {
        let event = ask(pipeline, order).await;
        if matches!(event, SagaEvent::PaymentCaptured(..)) {
            reach(CrashPoint::AfterCapture)?;
        }
        let recorded = pipeline.store.advance(order.id, event, cause.clone());
        Ok(recorded.await?.state())
    };
    observed::step("capture payment", capturing).await
}

/// Asks until the provider answers or the attempts are spent.
async fn ask(pipeline: &Pipeline, order: &Order) -> SagaEvent {
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
                tracing::debug!(order_id = %order.id, attempt, %error, "capture is tried again");
                time::sleep(policy.backoff.delay(attempt)).await;
            }
        }
    }
    tracing::warn!(order_id = %order.id, attempts = policy.attempts, "payment provider does not answer");
    SagaEvent::PaymentUnavailable
}
