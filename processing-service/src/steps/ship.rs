//! The last step: hand the pieces over.

use super::{Pipeline, StepError, observed};
use crate::domain::{OrderId, SagaEvent, SagaState, ShipmentId};
use crate::store::Cause;

/// Ships the order; after this commit no cancellation comes in time.
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
