//! The outcomes of processing, consumed from their topic: decode, apply, and say what to do with what cannot be applied.
//!
//! The consumer hands over one event per order at a time and many orders at once, so the events of many orders share a
//! commit. The offset moves on only after that commit; an event that comes again finds itself in the inbox.

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use kafka::record::Record;
use proto::event::ProcessingEvent;
use proto::record::{self, Received, RecordError};
use sql::group_commit::{GroupCommit, SubmitError};
use telemetry::span;
use thiserror::Error;

use crate::commit::ApplyCommitter;
use crate::convert;
use crate::domain::{OrderId, Refusal};
use crate::names::{self, attributes};
use crate::store::{Applied, ApplyOutcome, StoreError};

#[cfg(test)]
mod tests;

/// Applies outcomes to their orders.
#[derive(Clone, Debug)]
pub struct OutcomeHandler {
    writer: GroupCommit<ApplyCommitter>,
}

impl OutcomeHandler {
    /// Applies them through this writer.
    pub fn new(writer: GroupCommit<ApplyCommitter>) -> Self {
        Self { writer }
    }
}

#[async_trait]
impl Handler for OutcomeHandler {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let Some(outcome) = decode(delivery)? else {
            tracing::debug!(
                partition = delivery.partition,
                offset = delivery.offset,
                "event of an unknown type ignored"
            );
            return Ok(());
        };
        let (order_id, sequence) = (outcome.order_id, outcome.sequence);

        // The consumer bounds what is in work, so waiting for room in the queue ends.
        let applied = self.writer.submit_waiting(outcome).await;

        let applied = applied.map_err(write_failed)?;
        tracing::debug!(%order_id, sequence, ?applied, "outcome handled");
        describe(applied);
        judge(order_id, sequence, applied)
    }
}

/// Why an outcome is not applied, beside failures of the store.
#[derive(Debug, Error)]
enum OutcomeError {
    /// The record is no event of processing.
    #[error("the record is no outcome")]
    Undecodable(#[from] RecordError),
    /// There is no order of that id.
    #[error("order {0} is unknown")]
    UnknownOrder(OrderId),
    /// Events of processing about the order are missing.
    #[error("order {order_id}: event {sequence} came before event {expected}")]
    Gap {
        order_id: OrderId,
        sequence: u64,
        expected: u64,
    },
    /// The order's state does not allow it.
    #[error("order {order_id} refuses event {sequence}")]
    Refused {
        order_id: OrderId,
        sequence: u64,
        source: Refusal,
    },
}

/// The outcome in a record; nothing for an event type that this release does not know.
fn decode(record: &Record) -> Result<Option<ApplyOutcome>, Failure> {
    let received = record::decode(&record.headers, record.payload.as_deref())
        .map_err(|error| Failure::reject(OutcomeError::Undecodable(error)))?;
    Ok(received.map(outcome))
}

fn outcome(received: Received<ProcessingEvent>) -> ApplyOutcome {
    ApplyOutcome {
        order_id: OrderId::new(received.meta.order_id),
        event_id: received.meta.id,
        sequence: received.meta.sequence,
        event: convert::outcome(&received.event),
        occurred_at: received.meta.time.into(),
    }
}

/// Tells the span of the event what it did to its order.
fn describe(applied: Applied) {
    let Some(status) = applied.moved_to() else {
        return;
    };
    span::describe_current(|| [attributes::ORDER_STATUS.of(names::status(status))]);
    if let Some(reason) = status.rejection_reason() {
        span::describe_current(|| [attributes::ORDER_REJECTION_REASON.of(reason.name())]);
    }
}

/// What contradicts the order is set aside for a human. So is an event whose predecessors are missing: one that was set
/// aside would have fenced the order, so they were skipped or are lost, and waiting for them would be in vain, since
/// whatever still comes stands behind this event.
fn judge(order_id: OrderId, sequence: u64, applied: Applied) -> Result<(), Failure> {
    match applied {
        Applied::Moved(_) | Applied::Ended { .. } | Applied::Duplicate => Ok(()),
        Applied::Gap { expected } => Err(Failure::reject(OutcomeError::Gap {
            order_id,
            sequence,
            expected,
        })),
        Applied::Refused(source) => Err(Failure::reject(OutcomeError::Refused {
            order_id,
            sequence,
            source,
        })),
        Applied::UnknownOrder => Err(Failure::reject(OutcomeError::UnknownOrder(order_id))),
    }
}

fn write_failed(error: SubmitError<StoreError>) -> Failure {
    match error {
        SubmitError::Failed(damaged @ StoreError::Damaged { .. }) => Failure::reject(damaged),
        passing => Failure::retry(passing),
    }
}
