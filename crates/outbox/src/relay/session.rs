//! One session of the relay: a producer, its leases and the state in memory. Carries out the actions of [`Planner`].
//!
//! A session ends at a clean stop or at an error that invalidates its memory; then [`crate::relay`] starts another.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::held_shards::LeaseEnded;
use super::planner::{Action, Planner, READ_LIMIT, RowQuery};
use super::producer::{DeliveryReport, Producer, ProducerError, SendError};
use super::window::PublishFailure;
use crate::lease::Leases;
use crate::outbox::{Outbox, OutboxError, OutboxRow};
use crate::shard::Shard;
use crate::signal::OutboxSignal;
use service::crash_points::{CrashPoint, Injected, reach};
use service::error_chain::ErrorChain;

/// Why a session ended early. The relay recovers from all of these.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the outbox")]
    Outbox(#[from] OutboxError),
    #[error("the producer")]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    LeaseEnded(#[from] LeaseEnded),
    #[error("publishing")]
    Injected(#[from] Injected),
}

/// Publishes until it ends; its memory is dropped with it.
pub(super) struct Session<'a> {
    outbox: &'a dyn Outbox,
    leases: &'a dyn Leases,
    signal: &'a OutboxSignal,
    member: Uuid,
    producer: Producer,
    planner: Planner,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        outbox: &'a dyn Outbox,
        leases: &'a dyn Leases,
        signal: &'a OutboxSignal,
        member: Uuid,
        producer: Producer,
    ) -> Self {
        Self {
            outbox,
            leases,
            signal,
            member,
            producer,
            planner: Planner::new(outbox.has_other_writers(), Instant::now()),
        }
    }

    /// Publishes until `shutdown`, then waits for the last acknowledgements and releases the leases.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), SessionError> {
        loop {
            let blocked = self.planner.blocked_keys();
            self.producer.telemetry().show_blocked(blocked);
            match self.planner.next(Instant::now())? {
                Action::Renew => self.renew().await?,
                Action::Release(shards) => self.release(&shards).await?,
                Action::Send(row) => self.send(&row)?,
                Action::Read(query) => self.read(&query).await?,
                Action::Delete(rows) => self.delete(rows).await?,
                Action::Rest { until, wants_rows } => {
                    self.rest(until, wants_rows, shutdown).await?
                }
                Action::Leave => return Ok(self.leases.leave(self.member).await?),
            }
        }
    }

    async fn rest(
        &mut self,
        until: Instant,
        wants_rows: bool,
        shutdown: &CancellationToken,
    ) -> Result<(), SessionError> {
        let is_stopping = self.planner.is_stopping();
        // Biased: acknowledgements make room before more is read.
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if !is_stopping => self.planner.stop(Instant::now()),
            reports = self.producer.reports() => self.settle(reports)?,
            () = self.signal.notified(), if wants_rows => self.planner.signalled(Instant::now()),
            () = tokio::time::sleep_until(until) => {}
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), SessionError> {
        match self.leases.renew(self.member).await {
            Ok(grant) => {
                if self.planner.renewed(grant, Instant::now())? {
                    reach(CrashPoint::AfterClaim)?;
                }
            }
            Err(error) if self.planner.renewal_failed(Instant::now()) => {
                tracing::debug!(error = %ErrorChain(&error), "lease renewal failed, retrying");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn release(&mut self, shards: &[Shard]) -> Result<(), SessionError> {
        self.leases.release(self.member, shards).await?;
        self.planner.released(shards);
        Ok(())
    }

    async fn read(&mut self, query: &RowQuery) -> Result<(), SessionError> {
        let RowQuery {
            shards,
            after,
            except,
        } = query;
        let rows = match self.outbox.read(shards, *after, except, READ_LIMIT).await {
            Ok(rows) => rows,
            Err(error) => {
                let has_time = self.planner.read_failed(Instant::now());
                return retry_or_fail(has_time, error);
            }
        };
        if !rows.is_empty() {
            reach(CrashPoint::AfterRead)?;
        }
        self.planner.rows(rows, Instant::now());
        Ok(())
    }

    fn send(&mut self, row: &Arc<OutboxRow>) -> Result<(), SessionError> {
        match self.producer.send(row) {
            Ok(()) => Ok(reach(CrashPoint::AfterProduce)?),
            Err(error) => self.publish_failed(row.seq, &error),
        }
    }

    /// Applies the delivery reports of the producer.
    fn settle(&mut self, reports: Vec<DeliveryReport>) -> Result<(), SessionError> {
        for DeliveryReport { seq, result } in reports {
            match result {
                Ok(()) => {
                    reach(CrashPoint::AfterAcknowledgement)?;
                    self.planner.acknowledged(seq, Instant::now());
                }
                Err(error) => self.publish_failed(seq, &error.into())?,
            }
        }
        Ok(())
    }

    fn publish_failed(&mut self, seq: i64, error: &SendError) -> Result<(), SessionError> {
        self.producer.check()?;
        let error = ErrorChain(error);
        match self.planner.publish_failed(seq, Instant::now()) {
            PublishFailure::KeyBlocked { is_new: true } => tracing::error!(
                seq,
                %error,
                "event cannot be published, key blocked until its row is fixed or deleted"
            ),
            PublishFailure::KeyBlocked { is_new: false } => {
                tracing::debug!(seq, %error, "publish failed again, key stays blocked");
            }
            PublishFailure::RetryScheduled => {
                tracing::warn!(seq, %error, "publish failed, retrying");
            }
            PublishFailure::NotInFlight => {
                tracing::debug!(seq, %error, "late publish failure ignored");
            }
        }
        Ok(())
    }

    async fn delete(&mut self, rows: Vec<i64>) -> Result<(), SessionError> {
        if let Err(error) = self.outbox.delete(&rows).await {
            let has_time = self.planner.delete_failed(rows, Instant::now());
            return retry_or_fail(has_time, error);
        }
        reach(CrashPoint::AfterDelete)?;
        self.planner.deleted(&rows);
        Ok(())
    }
}

/// Ends the session only when there is no time for a retry: a new session would send the events in flight twice.
fn retry_or_fail(has_time: bool, error: OutboxError) -> Result<(), SessionError> {
    if !has_time {
        return Err(error.into());
    }
    tracing::warn!(error = %ErrorChain(&error), "outbox statement failed, retrying");
    Ok(())
}
