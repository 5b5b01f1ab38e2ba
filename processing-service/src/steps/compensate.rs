//! Giving an order up: first the intent is recorded, then the provider is asked to give the money back, then the end.
//!
//! The money goes first and the stock last. While the provider does not answer, the order stays in progress and is
//! tried again: an order that has ended never has money of its customer.

use service::crash_points::{CrashPoint, reach};

use super::{Pipeline, StepError, gateway, observed};
use crate::domain::{Order, OrderId, SagaEvent, SagaState};
use crate::store::{Cause, OpenSaga, Opening};

/// Records that an order which may not have a saga yet was cancelled.
pub async fn cancel_placed(
    pipeline: &Pipeline,
    order: &Order,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let cancelling = async {
        let saga = OpenSaga::new(order, Opening::Cancel);
        let recorded = pipeline.store.open(saga, cause.clone()).await?;
        Ok(recorded.state())
    };
    observed::step("cancel order", cancelling).await
}

/// Records that an order with a saga was cancelled.
pub async fn cancel(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let cancelling = async {
        let event = SagaEvent::CancellationRequested;
        let recorded = pipeline.store.advance(order_id, event, cause.clone());
        Ok(recorded.await?.state())
    };
    observed::step("cancel order", cancelling).await
}

/// Undoes what was done for an order and ends its saga.
///
/// The provider is asked even when no capture is recorded: one may have been made without our knowing.
pub async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let compensating = async {
        gateway::refund(pipeline, order_id).await?;
        reach(CrashPoint::AfterRefund)?;
        let event = SagaEvent::PaymentUndone;
        let recorded = pipeline.store.advance(order_id, event, cause.clone());
        Ok(recorded.await?.state())
    };
    observed::step("compensate order", compensating).await
}
