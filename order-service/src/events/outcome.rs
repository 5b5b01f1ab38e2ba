//! The events of processing-service, all handled alike: decode → apply → retry or reject on failure. The event types are
//! mapped in [`conversion::outcome`].
//!
//! The consumer delivers one event per order at a time and many orders concurrently, so events of many orders share a
//! commit. The offset is committed after it; a redelivered event is recognised by its sequence
//! and is a no-op.

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler};
use kafka::record::Record;
use proto::event::ProcessingEvent;
use proto::record::{self, EventMeta, Received, RecordError};
use sql::group_commit::{GroupCommit, SubmitError};
use telemetry::span;
use thiserror::Error;

use crate::commit::ApplyCommitter;
use crate::conversion;
use crate::domain::{OrderEvent, OrderId, TransitionRefused};
use crate::names::{self, attributes};
use crate::store::{Applied, ApplyOutcome, StoreError};

#[cfg(test)]
mod tests;

#[derive(Clone, Debug)]
pub struct OutcomeHandler {
    writer: GroupCommit<ApplyCommitter>,
}

impl OutcomeHandler {
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
                "event of unknown type without sequence ignored"
            );
            return Ok(());
        };
        let (order_id, sequence) = (outcome.order_id, outcome.sequence);
        let is_optional = outcome.event.is_none();

        // Waiting for the queue is bounded, since the consumer limits the events in flight.
        let applied = self.writer.submit_waiting(outcome).await;

        let applied = applied.map_err(write_failed)?;
        tracing::debug!(%order_id, sequence, ?applied, "outcome handled");
        record_status(applied);
        if is_optional && applied == Applied::UnknownOrder {
            return Ok(());
        }
        into_result(order_id, sequence, applied)
    }
}

/// Why an outcome is rejected, apart from store errors.
#[derive(Debug, Error)]
enum OutcomeError {
    #[error("invalid outcome record")]
    Undecodable(#[from] RecordError),
    /// Waits for a release that knows the type.
    #[error("event type not known to this release, and it must be understood")]
    NotUnderstood,
    #[error("unknown order {0}")]
    UnknownOrder(OrderId),
    #[error("order {order_id}: got event {sequence}, expected event {expected}")]
    Gap {
        order_id: OrderId,
        sequence: u64,
        expected: u64,
    },
    #[error("order {order_id} refuses event {sequence}")]
    Refused {
        order_id: OrderId,
        sequence: u64,
        source: TransitionRefused,
    },
}

/// `None` for a record that concerns no order: of an unknown type, and without a sequence.
fn decode(record: &Record) -> Result<Option<ApplyOutcome>, Failure> {
    let received = record::decode(&record.headers, record.payload.as_deref());
    match received.map_err(undecodable)? {
        Some(received) => Ok(Some(outcome(received))),
        None => skipped(record),
    }
}

/// An optional event advances its order's position: a newer release of processing-service may publish types that this
/// release does not know, and their successors must not be gaps.
fn skipped(record: &Record) -> Result<Option<ApplyOutcome>, Failure> {
    let unknown = record::decode_unknown(&record.headers).map_err(undecodable)?;
    if unknown.must_understand {
        return Err(Failure::retry(OutcomeError::NotUnderstood));
    }
    Ok(unknown.meta.map(|meta| at_position(&meta, None)))
}

fn undecodable(error: RecordError) -> Failure {
    Failure::reject(OutcomeError::Undecodable(error))
}

fn outcome(received: Received<ProcessingEvent>) -> ApplyOutcome {
    let event = conversion::outcome(&received.event);
    at_position(&received.meta, Some(event))
}

fn at_position(meta: &EventMeta, event: Option<OrderEvent>) -> ApplyOutcome {
    ApplyOutcome {
        order_id: OrderId::new(meta.order_id),
        event_id: meta.id,
        sequence: meta.sequence,
        event,
        occurred_at: meta.time.into(),
    }
}

/// Sets the new status on the span of the event.
fn record_status(applied: Applied) {
    let Some(status) = applied.moved_to() else {
        return;
    };
    span::describe_current(|| [attributes::ORDER_STATUS.of(names::status(status))]);
    if let Some(reason) = status.rejection_reason() {
        span::describe_current(|| [attributes::ORDER_REJECTION_REASON.of(reason.name())]);
    }
}

/// An event that contradicts its order is rejected, for an operator to look at. So is a gap: a missing event in the retry
/// store would have blocked the key, hence it was skipped or lost, and a retry cannot help, since any event that still
/// arrives comes later.
fn into_result(order_id: OrderId, sequence: u64, applied: Applied) -> Result<(), Failure> {
    let error = match applied {
        Applied::Moved(_) | Applied::Ended { .. } | Applied::Skipped | Applied::Duplicate => {
            return Ok(());
        }
        Applied::Gap { expected } => OutcomeError::Gap {
            order_id,
            sequence,
            expected,
        },
        Applied::Refused(source) => OutcomeError::Refused {
            order_id,
            sequence,
            source,
        },
        Applied::UnknownOrder => OutcomeError::UnknownOrder(order_id),
    };
    Err(Failure::reject(error))
}

fn write_failed(error: SubmitError<StoreError>) -> Failure {
    match error {
        SubmitError::Failed(damaged @ StoreError::Damaged { .. }) => Failure::reject(damaged),
        transient => Failure::retry(transient),
    }
}
