//! The last step: ships the order.

use super::pipeline::{Pipeline, StepError};
use crate::domain::{OrderId, SagaEvent, SagaState, ShipmentId};
use crate::store::Cause;

/// Ships the order, and records its capture in the same commit unless that is recorded already. After this commit the order
/// can no longer be cancelled.
pub(super) async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    payment: Option<SagaEvent>,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let shipped = SagaEvent::Shipped(ShipmentId::of(order_id));
    let events = payment.into_iter().chain([shipped]).collect();
    pipeline.advance(order_id, events, cause).await
}
