//! The consumed events, one file each, all of one shape: parse → decide → persist.
//!
//! Handling an event again is a no-op. An event that cannot be decoded is rejected (dead letter); one that meets an
//! unavailable database or payment provider is retried. One of an unknown type is ignored, unless it must be understood: then
//! it is retried until a release knows it.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use consumer::{Delivery, Failure, Handler};
use proto::event::OrderEvent;
use proto::record::{self, EventMeta};
use telemetry::propagation::current_trace_headers;

use crate::domain::OrderId;
use crate::steps::{Pipeline, StepError};
use crate::store::{Cause, StoreError};

pub mod order_placed;

pub mod cancellation_requested;

/// Handles the events of order-service.
#[derive(Clone, Debug)]
pub struct OrderEvents {
    pipeline: Arc<Pipeline>,
}

impl OrderEvents {
    pub fn new(pipeline: Pipeline) -> Self {
        Self {
            pipeline: Arc::new(pipeline),
        }
    }
}

#[async_trait]
impl Handler for OrderEvents {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let received = record::decode(&delivery.headers, delivery.payload.as_deref());
        let Some(received) = received.map_err(Failure::reject)? else {
            return skip(delivery);
        };
        let cause = cause(&received.meta);
        // An operator of order-service publishes the events of an open order again: if this service has decided about the
        // order, its outcomes were lost. First, since a later outcome would be a gap.
        if record::is_republished(&delivery.headers) {
            let order_id = OrderId::new(received.meta.order_id);
            let announced = self.pipeline.store.announce_again(order_id, cause.clone());
            announced.await?;
        }
        match received.event {
            OrderEvent::OrderPlaced(event) => {
                order_placed::handle(&self.pipeline, &event, &cause, delivery).await
            }
            OrderEvent::CancellationRequested(event) => {
                cancellation_requested::handle(&self.pipeline, &event, &cause).await
            }
        }
    }
}

/// No sequence to advance: the state of the saga decides whether an event is new.
fn skip(delivery: &Delivery) -> Result<(), Failure> {
    let unknown = record::decode_unknown(&delivery.headers).map_err(Failure::reject)?;
    if unknown.must_understand {
        return Err(Failure::retry(NotUnderstood));
    }
    let (partition, offset) = (delivery.partition, delivery.offset);
    tracing::debug!(partition, offset, "unknown event type ignored");
    Ok(())
}

/// Waits for a release that knows the type.
#[derive(Debug, thiserror::Error)]
#[error("event type not known to this release, and it must be understood")]
struct NotUnderstood;

fn cause(meta: &EventMeta) -> Cause {
    let event = InboxEntry {
        event_id: meta.id,
        key: meta.order_id,
        sequence: meta.sequence,
    };
    Cause {
        event: Some(event),
        trace: current_trace_headers().into(),
    }
}

/// Whether an event is retried after an error of its step.
impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        match &error {
            StepError::Refund(_) | StepError::Interrupted(_) => Failure::retry(error),
            StepError::Store(cause) if cause.is_transient() => Failure::retry(error),
            StepError::Store(_) | StepError::Forgotten(_) => Failure::reject(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        StepError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_database_is_retried_and_damaged_data_is_rejected() {
        let unavailable = StoreError::Database(sqlx::Error::PoolTimedOut);
        let damaged = StoreError::Database(sqlx::Error::Decode("no such state".into()));

        assert!(matches!(Failure::from(unavailable), Failure::Retry(_)));
        assert!(matches!(Failure::from(damaged), Failure::Reject(_)));
    }
}
