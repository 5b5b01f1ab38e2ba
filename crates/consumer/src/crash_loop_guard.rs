//! Which record killed the process, if one did.
//!
//! A handler's panic is caught; a stack overflow or a lack of memory ends the process, and the same record ends the next
//! one. So after a crash a partition is *careful* for a while: an attempt is noted in the database before it is made, and
//! the note is removed when it has ended, whichever way. What stays noted was in work when the process died:
//!
//! ```text
//!  notes that stood     what happens                              because
//!  0 or 1               it is handled beside others               a crash has many that were in work
//!  2                    it is handled alone in the process        the next crash has only one
//!  3                    it is not handled: it is the one          only what runs alone comes so far
//! ```
//!
//! Whoever was merely there when others crashed runs alone once, survives, and is forgotten. A record that kills pays for
//! it with four crashes, the first of them before anybody was careful; the orderly end of an assignment costs no note.
//!
//! A note that cannot be made is an attempt that is not made; one that cannot be removed is tried again first.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::scope::{RETRY, Scope};
use crate::retry_store::RetryStoreError;
use kafka::record::Record;
use service::error_chain::ErrorChain;

/// The note with which an attempt is made alone in the process: two crashes had it in work.
const ALONE: u32 = 3;

/// Which offsets of an assignment are handled with care.
#[derive(Clone, Copy, Debug)]
pub(super) enum CrashSpan {
    /// None: whoever was here before ended in order.
    None,
    /// The next ones: as many as a partition is read ahead may have been in work before.
    Next {
        /// How many.
        span: u64,
    },
    /// Those below this one. The lower ones of a topic that begins anew are among them: they may be anything.
    Below(i64),
}

impl CrashSpan {
    /// CrashSpan for so many offsets, from the next one that is received.
    pub(super) fn of_next(span: u64) -> Self {
        Self::Next { span }
    }

    /// Notes a received offset.
    pub(super) fn receive(&mut self, offset: i64) {
        if let Self::Next { span } = *self {
            *self = Self::Below(offset.saturating_add_unsigned(span));
        }
    }

    /// Whether this offset is one of them.
    pub(super) fn covers(&self, offset: i64) -> bool {
        match self {
            Self::None => false,
            Self::Next { .. } => true,
            Self::Below(end) => offset < *end,
        }
    }
}

/// Whether an attempt may be made.
#[derive(Debug)]
pub(super) enum Admission {
    /// It may, for as long as this is held.
    Granted(OwnedSemaphorePermit),
    /// The record has killed the process so often, the last time for certain.
    Refused {
        /// Attempts that the process did not survive.
        deaths: u32,
    },
    /// Draining began before.
    Interrupted,
}

/// The admission of one record's attempts.
pub(super) struct CrashLoopGuard {
    scope: Arc<Scope>,
    /// Whether attempts are noted.
    crash_loop_guard: bool,
    /// Whether a note of ours may stand.
    noted: bool,
    /// Whether it must be alone.
    suspect: bool,
}

impl CrashLoopGuard {
    pub(super) fn new(scope: Arc<Scope>, crash_loop_guard: bool) -> Self {
        Self {
            scope,
            crash_loop_guard,
            noted: false,
            suspect: false,
        }
    }

    /// Waits for the right to make an attempt, and notes it.
    pub(super) async fn admit(&mut self, record: &Record) -> Result<Admission, RetryStoreError> {
        self.forget(record).await?;
        if self.suspect {
            return self.admit_alone(record).await;
        }
        let Some(permit) = self.scope.permit().await else {
            return Ok(Admission::Interrupted);
        };
        if !self.crash_loop_guard {
            return Ok(Admission::Granted(permit));
        }
        match self.note(record).await? {
            count if count < ALONE => Ok(Admission::Granted(permit)),
            ALONE => {
                drop(permit);
                self.suspect = true;
                // While it waits to be alone, others may crash: that must not count against it.
                self.forget(record).await?;
                self.admit_alone(record).await
            }
            count => Ok(Admission::Refused { deaths: count - 1 }),
        }
    }

    async fn admit_alone(&mut self, record: &Record) -> Result<Admission, RetryStoreError> {
        let Some(permit) = self.scope.permit_to_be_alone().await else {
            return Ok(Admission::Interrupted);
        };
        tracing::warn!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            "event was in work in several crashes and is handled alone"
        );
        for _ in 0..ALONE {
            self.note(record).await?;
        }
        Ok(Admission::Granted(permit))
    }

    /// The attempt has ended. Must come before its permit goes: what stays noted as alone was alone.
    pub(super) async fn ended(&mut self, record: &Record) {
        if let Err(error) = self.forget(record).await {
            tracing::warn!(
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                error = %ErrorChain(&error),
                "note of an attempt is not removed yet"
            );
        }
    }

    /// Whether a note of ours may stand although no attempt is at work.
    pub(super) fn note_stands(&self) -> bool {
        self.noted
    }

    /// Nothing more is tried: removes the note that an attempt could not.
    pub(super) async fn close(&mut self, record: &Record) {
        for attempt in 1_u32.. {
            if self.forget(record).await.is_ok() || !self.scope.pause(RETRY.delay(attempt)).await {
                return;
            }
        }
    }

    async fn note(&mut self, record: &Record) -> Result<u32, RetryStoreError> {
        // Before the call: its answer may get lost.
        self.noted = true;
        self.scope.retry_store().note_attempt(record).await
    }

    async fn forget(&mut self, record: &Record) -> Result<(), RetryStoreError> {
        if self.noted {
            self.scope.retry_store().forget_attempts(record).await?;
            self.noted = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
