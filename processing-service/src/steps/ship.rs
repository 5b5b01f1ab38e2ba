//! The last step: ships the order.

use super::pipeline::{Pipeline, StepError};
use crate::domain::{OrderId, SagaEvent, SagaState, ShipmentId};
use crate::store::Cause;

/// After this commit the order can no longer be cancelled.
pub(super) async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let event = SagaEvent::Shipped(ShipmentId::of(order_id));
    pipeline.advance(order_id, event, cause).await
}
