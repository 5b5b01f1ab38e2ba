//! One producer and what is known of the table while it lasts: carries out what [`Planner`] decides.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::RelayError;
use super::planner::{Action, Planner, Query, READ_LIMIT};
use super::producer::{Producer, Report, SendError};
use super::window::Refusal;
use crate::lease::Leases;
use crate::{Outbox, OutboxError, OutboxRow, OutboxSignal, Shard};
use service::crash_points::{CrashPoint, reach};
use service::error_chain::ErrorChain;

/// Publishes until something interrupts it; then everything in it is forgotten and read again.
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

    /// Publishes until `shutdown`, then waits for the last acknowledgements and gives the leases back.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        loop {
            let blocked = self.planner.blocked_keys();
            self.producer.telemetry().show_blocked(blocked);
            match self.planner.next(Instant::now())? {
                Action::Renew => self.renew().await?,
                Action::HandOver(shards) => self.hand_over(&shards).await?,
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
    ) -> Result<(), RelayError> {
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

    async fn renew(&mut self) -> Result<(), RelayError> {
        match self.leases.renew(self.member).await {
            Ok(tenure) => {
                if self.planner.renewed(tenure, Instant::now())? {
                    reach(CrashPoint::AfterClaim)?;
                }
            }
            Err(error) if self.planner.renewal_failed(Instant::now()) => {
                tracing::debug!(error = %ErrorChain(&error), "leases were not renewed, trying again");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn hand_over(&mut self, shards: &[Shard]) -> Result<(), RelayError> {
        self.leases.release(self.member, shards).await?;
        self.planner.handed_over(shards);
        Ok(())
    }

    async fn read(&mut self, query: &Query) -> Result<(), RelayError> {
        let Query {
            shards,
            after,
            except,
        } = query;
        let rows = match self.outbox.read(shards, *after, except, READ_LIMIT).await {
            Ok(rows) => rows,
            Err(error) => {
                let goes_on = self.planner.read_failed(Instant::now());
                return try_again(goes_on, error);
            }
        };
        if !rows.is_empty() {
            reach(CrashPoint::AfterRead)?;
        }
        self.planner.rows(rows, Instant::now());
        Ok(())
    }

    fn send(&mut self, row: &Arc<OutboxRow>) -> Result<(), RelayError> {
        match self.producer.send(row) {
            Ok(()) => Ok(reach(CrashPoint::AfterProduce)?),
            Err(error) => self.refused(row.seq, &error),
        }
    }

    /// Acts on what became of events at the broker.
    fn settle(&mut self, reports: Vec<Report>) -> Result<(), RelayError> {
        for Report { seq, result } in reports {
            match result {
                Ok(()) => {
                    reach(CrashPoint::AfterAcknowledgement)?;
                    self.planner.acknowledged(seq, Instant::now());
                }
                Err(error) => self.refused(seq, &error.into())?,
            }
        }
        Ok(())
    }

    fn refused(&mut self, seq: i64, error: &SendError) -> Result<(), RelayError> {
        self.producer.check()?;
        let error = ErrorChain(error);
        match self.planner.refused(seq, Instant::now()) {
            Refusal::KeyStopped { is_new: true } => tracing::error!(
                seq,
                %error,
                "event cannot be published: its key stands still until its row is mended or deleted"
            ),
            Refusal::KeyStopped { is_new: false } => {
                tracing::debug!(seq, %error, "event can still not be published");
            }
            Refusal::SentAgain | Refusal::Unknown => {
                tracing::warn!(seq, %error, "event was not published and will be sent again");
            }
        }
        Ok(())
    }

    async fn delete(&mut self, rows: Vec<i64>) -> Result<(), RelayError> {
        if let Err(error) = self.outbox.delete(&rows).await {
            let goes_on = self.planner.delete_failed(rows, Instant::now());
            return try_again(goes_on, error);
        }
        reach(CrashPoint::AfterDelete)?;
        self.planner.deleted(&rows);
        Ok(())
    }
}

/// A database that fails for a moment is no reason to forget what was sent: it would be sent twice.
fn try_again(goes_on: bool, error: OutboxError) -> Result<(), RelayError> {
    if !goes_on {
        return Err(error.into());
    }
    tracing::warn!(error = %ErrorChain(&error), "outbox does not answer, trying again");
    Ok(())
}
