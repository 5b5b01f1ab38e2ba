//! Crash-loop guard: isolates a poison pill, a record that kills the process.
//!
//! A panic of a handler is caught; a stack overflow or an out-of-memory kill ends the process, and the same record ends the
//! next one. So after a crash the next records of a partition are *guarded*: an attempt is counted in the database before
//! it is made, and the count is removed when the attempt has ended, with any result. A count that is left was in flight
//! when the process died:
//!
//! ```text
//!  counts left     reaction                                  reason
//!  0 or 1          handled beside others                     many records are in flight in a crash
//!  2               handled alone in the process              the next crash has one record in flight
//!  3               not handled: it is the poison pill        only a record that ran alone gets here
//! ```
//!
//! A record that was in flight beside a poison pill runs alone once, succeeds, and its count is removed. A poison pill is
//! isolated after four crashes, the first of them before any guard; a clean end of a session costs no counts.
//!
//! Counts are written in group commits (`retry_store::attempt_counts`): the attempts that begin or end at the same time share
//! a transaction. An attempt is not made if its count cannot be written. A count that cannot be removed is removed before the
//! next attempt.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::concurrency::{ConcurrencyLimit, DrainTokens};
use crate::retry_policy::BACKOFF;
use crate::retry_store::{RetryStore, RetryStoreError};
use kafka::record::Record;
use service::error_chain::ErrorChain;

/// The count, this attempt included, at which an attempt is made alone in the process: two before it were in flight in a
/// crash.
const ALONE: u32 = 3;

/// The guarded offsets of a partition session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guarded {
    /// The previous session ended cleanly.
    None,
    /// This many from the next received one: as far as a partition is read ahead may have been in flight before.
    Next { span: u64 },
    /// Those below this one, including the lower offsets of a recreated topic.
    Below(i64),
}

impl Guarded {
    /// Fixes the range at the first received offset.
    pub(crate) fn receive(&mut self, offset: i64) {
        if let Self::Next { span } = *self {
            *self = Self::Below(offset.saturating_add_unsigned(span));
        }
    }

    pub(crate) fn covers(&self, offset: i64) -> bool {
        match self {
            Self::None => false,
            Self::Next { .. } => true,
            Self::Below(end) => offset < *end,
        }
    }
}

/// Whether an attempt may be made.
#[derive(Debug)]
pub(crate) enum GuardDecision {
    /// It may, while the permit is held.
    Granted(OwnedSemaphorePermit),
    /// The record is a poison pill: `deaths` attempts ended the process, the last one alone.
    Refused { deaths: u32 },
    /// Draining began before.
    Interrupted,
}

/// The guard of one record.
pub(crate) struct CrashLoopGuard {
    retry_store: Arc<dyn RetryStore>,
    limit: ConcurrencyLimit,
    drain: DrainTokens,
    /// Whether attempts are counted.
    is_guarded: bool,
    /// Whether a count of this record may be in the database.
    is_counted: bool,
    /// Whether attempts must run alone.
    is_suspect: bool,
}

impl CrashLoopGuard {
    pub(crate) fn new(
        retry_store: Arc<dyn RetryStore>,
        limit: ConcurrencyLimit,
        drain: DrainTokens,
        is_guarded: bool,
    ) -> Self {
        Self {
            retry_store,
            limit,
            drain,
            is_guarded,
            is_counted: false,
            is_suspect: false,
        }
    }

    /// Waits for a permit, and counts the attempt.
    pub(crate) async fn admit(
        &mut self,
        record: &Record,
    ) -> Result<GuardDecision, RetryStoreError> {
        self.forget(record).await?;
        if self.is_suspect {
            return self.admit_alone(record).await;
        }
        let Some(permit) = self.limit.acquire(&self.drain).await else {
            return Ok(GuardDecision::Interrupted);
        };
        if !self.is_guarded {
            return Ok(GuardDecision::Granted(permit));
        }
        match self.count(record).await? {
            count if count < ALONE => Ok(GuardDecision::Granted(permit)),
            ALONE => {
                drop(permit);
                self.is_suspect = true;
                // Crashes of other records while it waits to run alone must not count against it.
                self.forget(record).await?;
                self.admit_alone(record).await
            }
            count => Ok(GuardDecision::Refused { deaths: count - 1 }),
        }
    }

    async fn admit_alone(&mut self, record: &Record) -> Result<GuardDecision, RetryStoreError> {
        let Some(permit) = self.limit.acquire_all(&self.drain).await else {
            return Ok(GuardDecision::Interrupted);
        };
        tracing::warn!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            "event was in flight in several crashes, handled alone"
        );
        for _ in 0..ALONE {
            self.count(record).await?;
        }
        Ok(GuardDecision::Granted(permit))
    }

    /// The attempt has ended. Must be called before its permit is dropped: a record whose count says alone must be alone.
    pub(crate) async fn ended(&mut self, record: &Record) {
        if let Err(error) = self.forget(record).await {
            tracing::warn!(
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                error = %ErrorChain(&error),
                "attempt count not removed, will be retried"
            );
        }
    }

    /// Whether a count may be left although no attempt is in flight: the database is unreachable.
    pub(crate) fn is_count_pending(&self) -> bool {
        self.is_counted
    }

    /// No attempt follows: removes a count that is left.
    pub(crate) async fn close(&mut self, record: &Record) {
        for attempt in 1_u32.. {
            if self.forget(record).await.is_ok() || !self.drain.sleep(BACKOFF.delay(attempt)).await
            {
                return;
            }
        }
    }

    async fn count(&mut self, record: &Record) -> Result<u32, RetryStoreError> {
        // Before the call: its answer may get lost.
        self.is_counted = true;
        self.retry_store.count_attempt(record).await
    }

    async fn forget(&mut self, record: &Record) -> Result<(), RetryStoreError> {
        if self.is_counted {
            self.retry_store.forget_attempts(record).await?;
            self.is_counted = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
