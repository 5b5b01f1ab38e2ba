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
use proto::record::{self, Received, RecordError};
use sql::group_commit::{GroupCommit, SubmitError};
use telemetry::span;
use thiserror::Error;

use crate::commit::ApplyCommitter;
use crate::conversion;
use crate::domain::{OrderId, TransitionRefused};
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
                "unknown event type ignored"
            );
            return Ok(());
        };
        let (order_id, sequence) = (outcome.order_id, outcome.sequence);

        // Waiting for the queue is bounded, since the consumer limits the events in flight.
        let applied = self.writer.submit_waiting(outcome).await;

        let applied = applied.map_err(write_failed)?;
        tracing::debug!(%order_id, sequence, ?applied, "outcome handled");
        record_status(applied);
        into_result(order_id, sequence, applied)
    }
}

/// Why an outcome is rejected, apart from store errors.
#[derive(Debug, Error)]
enum OutcomeError {
    #[error("invalid outcome record")]
    Undecodable(#[from] RecordError),
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

/// `None` for an event type that this release does not know.
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
        event: conversion::outcome(&received.event),
        occurred_at: received.meta.time.into(),
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
        Applied::Moved(_) | Applied::Ended { .. } | Applied::Duplicate => return Ok(()),
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
