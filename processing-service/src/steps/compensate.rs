//! Compensation: records the intent, refunds the payment, then records the final state.
//!
//! The refund comes first and the release of the stock last. While the provider does not answer, the order stays in
//! progress and is retried: no order ends unfulfilled with a captured payment.

use service::crash_points::{CrashPoint, reach};

use super::pipeline::{Pipeline, StepError};
use super::{gateway, observed};
use crate::domain::{Demand, Order, OrderId, SagaEvent, SagaState};
use crate::store::{Cause, OpenSaga, Opening};

/// Records the cancellation of an order that may not have a saga yet.
pub async fn cancel_placed(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let cancelling = pipeline.open(order, Opening::Cancel, cause);
    observed("cancel order", cancelling).await
}

/// Records the cancellation of an order whose own event never arrived: its saga has no lines.
pub async fn cancel_unseen(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let saga = OpenSaga {
        order_id,
        demand: Demand::default(),
        opening: Opening::Cancel,
    };
    let cancelling = async { Ok(pipeline.store.open(saga, cause.clone()).await?.state()) };
    observed("cancel order", cancelling).await
}

/// Records the cancellation of an order with a saga.
pub async fn cancel(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let events = vec![SagaEvent::CancellationRequested];
    let cancelling = pipeline.advance(order_id, events, cause);
    observed("cancel order", cancelling).await
}

/// Records the cancellation of an order together with its capture, which is not recorded yet.
pub(super) async fn cancel_captured(
    pipeline: &Pipeline,
    order_id: OrderId,
    payment: SagaEvent,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let events = vec![payment, SagaEvent::CancellationRequested];
    let cancelling = pipeline.advance(order_id, events, cause);
    observed("cancel order", cancelling).await
}

/// Refunds the payment, releases the stock and ends the saga.
///
/// The refund is requested even when no capture is recorded: one may have been made whose answer was lost.
pub async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let compensating = async {
        gateway::refund(pipeline, order_id).await?;
        reach(CrashPoint::AfterRefund)?;
        let events = vec![SagaEvent::PaymentUndone];
        pipeline.advance(order_id, events, cause).await
    };
    observed("compensate order", compensating).await
}
