//! One session of the relay: a producer, its leases and the state in memory. Carries out the actions of [`Planner`].
//!
//! A session ends at a clean stop or at an error that invalidates its memory; then [`crate::relay`] starts another.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::held_shards::LeaseEnded;
use super::planner::{Action, Planner, PositionQuery, READ_LIMIT, SCAN_LIMIT};
use super::producer::{DeliveryReport, Producer, ProducerError, SendError};
use super::window::PublishFailure;
use crate::hand_over::{HandOver, Taken};
use crate::lease::Leases;
use crate::outbox::{Outbox, OutboxError, OutboxRow};
use crate::shard::Shard;
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
    hand_over: &'a HandOver,
    member: Uuid,
    producer: Producer,
    planner: Planner,
    /// Rows that block their keys, to be noted in the table.
    blocked: Vec<i64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        outbox: &'a dyn Outbox,
        leases: &'a dyn Leases,
        hand_over: &'a HandOver,
        member: Uuid,
        producer: Producer,
    ) -> Self {
        Self {
            outbox,
            leases,
            hand_over,
            member,
            producer,
            planner: Planner::new(outbox.has_other_writers(), Instant::now()),
            blocked: Vec::new(),
        }
    }

    /// Publishes until `shutdown`, then waits for the last acknowledgements and releases the leases.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), SessionError> {
        loop {
            let blocked = self.planner.blocked_keys();
            self.producer.telemetry().show_blocked(blocked);
            self.note_blocked().await;
            self.take_rows()?;
            match self.planner.next(Instant::now())? {
                Action::Renew => self.renew().await?,
                Action::Release(shards) => self.release(&shards).await,
                Action::Send(row) => self.send(&row)?,
                Action::Scan(query) => self.scan(&query).await?,
                Action::Read(positions) => self.read(&positions).await?,
                Action::Delete(rows) => self.delete(rows).await?,
                Action::Rest { until, wants_rows } => {
                    self.rest(until, wants_rows, shutdown).await?
                }
                Action::Leave => return Ok(self.leases.leave(self.member).await?),
            }
        }
    }

    /// Notes in the table which rows block their keys. One that was not noted is noted after its next attempt.
    async fn note_blocked(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut self.blocked);
        if let Err(error) = self.outbox.note_blocked(&rows).await {
            tracing::warn!(error = %ErrorChain(&error), "blocked events not noted, retrying");
        }
    }

    /// Takes rows that were handed over since the last action.
    fn take_rows(&mut self) -> Result<(), SessionError> {
        if !self.planner.takes_rows() {
            return Ok(());
        }
        match self.hand_over.take(READ_LIMIT) {
            Taken::Rows(rows) if rows.is_empty() => {}
            Taken::Rows(rows) => {
                reach(CrashPoint::AfterRead)?;
                self.planner.handed_over(rows, Instant::now());
            }
            Taken::ReadFrom(seq) => self.planner.not_handed_over(seq, Instant::now()),
        }
        Ok(())
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
            () = self.hand_over.arrived(), if wants_rows => {}
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

    /// After a failure the next renewal returns the shards, still surplus, and they are released again.
    async fn release(&mut self, shards: &[Shard]) {
        if let Err(error) = self.leases.release(self.member, shards).await {
            tracing::debug!(error = %ErrorChain(&error), "lease release failed, retrying");
        }
        self.planner.released(shards);
    }

    async fn scan(&mut self, query: &PositionQuery) -> Result<(), SessionError> {
        let PositionQuery { shards, after } = query;
        match self.outbox.positions(shards, *after, SCAN_LIMIT).await {
            Ok(positions) => self.planner.positions(&positions, Instant::now()),
            Err(error) => self.read_failed(error)?,
        }
        Ok(())
    }

    async fn read(&mut self, positions: &[i64]) -> Result<(), SessionError> {
        let rows = match self.outbox.read(positions).await {
            Ok(rows) => rows,
            Err(error) => return self.read_failed(error),
        };
        if !rows.is_empty() {
            reach(CrashPoint::AfterRead)?;
        }
        self.planner.rows(rows, Instant::now());
        Ok(())
    }

    fn read_failed(&mut self, error: OutboxError) -> Result<(), SessionError> {
        let has_time = self.planner.read_failed(Instant::now());
        retry_or_fail(has_time, error)
    }

    fn send(&mut self, row: &OutboxRow) -> Result<(), SessionError> {
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
            PublishFailure::KeyBlocked { key, is_new } => {
                self.blocked.push(seq);
                if is_new {
                    tracing::error!(
                        seq,
                        key,
                        %error,
                        "event cannot be published, key blocked until its row is fixed or deleted"
                    );
                } else {
                    tracing::debug!(seq, key, %error, "publish failed again, key stays blocked");
                }
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
