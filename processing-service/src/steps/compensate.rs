//! Giving an order up: first the intent is recorded, then the provider is asked to give the money back, then the end.
//!
//! The money goes first and the stock last. While the provider does not answer, the order stays in progress and is
//! tried again: an order that has ended never has money of its customer.

use chassis::crash_points::{CrashPoint, reach};
use tokio::time;

use super::{Pipeline, StepError};
use crate::domain::{Order, OrderId, SagaEvent, SagaState};
use crate::payment::GatewayUnavailable;
use crate::store::{Cause, OpenSaga, Opening};

/// Records that an order which may not have a saga yet was cancelled.
pub async fn cancel_placed(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let saga = OpenSaga::new(order, Opening::Cancel);
    let recorded = pipeline.store.open(saga, cause.clone()).await?;
    Ok(recorded.state())
}

/// Records that an order with a saga was cancelled.
pub async fn cancel(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let event = SagaEvent::CancellationRequested;
    let recorded = pipeline
        .store
        .advance(order_id, event, cause.clone())
        .await?;
    Ok(recorded.state())
}

/// Undoes what was done for an order and ends its saga.
///
/// The provider is asked even when no capture is recorded: one may have been made without our knowing.
pub async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let refund = time::timeout(pipeline.capture.timeout, pipeline.gateway.refund(order_id));
    refund.await.unwrap_or(Err(GatewayUnavailable))?;
    reach(CrashPoint::AfterRefund)?;
    let event = SagaEvent::PaymentUndone;
    let recorded = pipeline
        .store
        .advance(order_id, event, cause.clone())
        .await?;
    Ok(recorded.state())
}
