//! The last step: ships the order.

use super::observed;
use super::pipeline::{Pipeline, StepError};
use crate::domain::{OrderId, SagaEvent, SagaState, ShipmentId};
use crate::store::Cause;

/// After this commit the order can no longer be cancelled.
pub async fn run(
    pipeline: &Pipeline,
    order_id: OrderId,
    cause: &Cause,
) -> Result<SagaState, StepError> {
    let shipping = async {
        let event = SagaEvent::Shipped(ShipmentId::of(order_id));
        let recorded = pipeline.store.advance(order_id, event, cause.clone());
        Ok(recorded.await?.state())
    };
    observed::step("ship order", shipping).await
}
