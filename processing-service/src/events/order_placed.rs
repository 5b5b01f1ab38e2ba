//! `OrderPlaced`: runs the steps of the order until its saga ends.
//!
//! Before each step it checks for a cancellation: a `CancellationRequested` has the same key, so it is queued behind this
//! event and would otherwise be handled only after the order is shipped.

use consumer::{Delivery, Failure};
use proto::event::OrderEvent;
use proto::orders::v1::OrderPlaced;
use proto::record;

use crate::conversion;
use crate::domain::OrderId;
use crate::steps::{self, Pipeline};
use crate::store::Cause;

pub(super) async fn handle(
    pipeline: &Pipeline,
    event: &OrderPlaced,
    cause: &Cause,
    delivery: &Delivery,
) -> Result<(), Failure> {
    let order = conversion::order(event).map_err(Failure::reject)?;
    let cancelled = || is_cancellation_queued(delivery, order.id);
    let end = steps::process(pipeline, &order, cause, &cancelled).await?;
    tracing::debug!(order_id = %order.id, state = ?end, "order processed");
    Ok(())
}

/// Whether a cancellation of this order is queued behind this event.
fn is_cancellation_queued(delivery: &Delivery, order_id: OrderId) -> bool {
    let followers = delivery.followers();
    followers.iter().any(|record| {
        let decoded = record::decode(&record.headers, record.payload.as_deref());
        // A record that cannot be decoded is rejected when it is handled itself.
        matches!(decoded, Ok(Some(received))
            if matches!(received.event, OrderEvent::CancellationRequested(_))
                && received.meta.order_id == order_id.as_uuid())
    })
}
