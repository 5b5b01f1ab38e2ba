//! The events that this service consumes, one file each, all of one shape: parse → decide → persist.
//!
//! An event that is handled again changes nothing. What cannot be read is rejected and set aside; what meets
//! a database or a provider that is away is tried again; a type that is not known here is ignored.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::inbox::InboxEntry;
use consumer::{Delivery, Failure, Handler};
use proto::event::OrderEvent;
use proto::record::{self, EventMeta};
use telemetry::propagation::current_trace_headers;

use crate::steps::{Pipeline, StepError};
use crate::store::Cause;

pub mod cancellation_requested;
pub mod order_placed;

/// Handles the events of order-service.
#[derive(Clone, Debug)]
pub struct OrderEvents {
    pipeline: Arc<Pipeline>,
}

impl OrderEvents {
    /// A handler that works with this pipeline.
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
            let (partition, offset) = (delivery.partition, delivery.offset);
            tracing::debug!(partition, offset, "event of an unknown type is ignored");
            return Ok(());
        };
        let cause = cause(&received.meta);
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

fn cause(meta: &EventMeta) -> Cause {
    let event = InboxEntry {
        event_id: meta.id,
        key: meta.order_id,
        sequence: meta.sequence,
    };
    Cause {
        event,
        trace: current_trace_headers().into(),
    }
}

/// What is to be done about an event whose step could not be taken.
fn failure(error: impl Into<StepError>) -> Failure {
    let error = error.into();
    match &error {
        StepError::Refund(_) | StepError::Interrupted(_) => Failure::retry(error),
        StepError::Store(cause) if cause.is_transient() => Failure::retry(error),
        StepError::Store(_) => Failure::reject(error),
    }
}
