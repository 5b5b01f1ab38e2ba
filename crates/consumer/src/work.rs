//! One event in work, until its offset is done: handled, parked, or a dead letter.
//!
//! ```text
//!  key fenced? ──yes──▶ parked behind ──────────────────────────────────────▶ done
//!      │ no
//!      ▼
//!  attempt ──handled────────────────────────────────────────────────────────▶ done
//!    ▲  │ └─hopeless──▶ gate ──open──▶ dead letter, acknowledged ──▶ parked ─▶ done
//!    │  │ failed          └──closed──▶ the partition stops
//!    │  ▼
//!  a pause, as long as RETRY_FOR lasts; then ──▶ parked, to be tried later ─▶ done
//!    ▲                                             │ cannot be parked: the database is away
//!    └─────────────────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Context;

use super::BoxError;
use super::attempts::{Attempted, Attempts};
use super::lanes::Lane;
use super::scope::{RETRY, Scope, warn_of_retry};
use crate::retry_store::{Fault, FaultClass, KeyState, RetryState};
use kafka::record::Record;
use service::error_chain::ErrorChain;

/// How work on an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its effect is durable: its offset is done.
    Handled,
    /// It is parked, and what comes later for its key has to be: its offset is done.
    Stored,
    /// It was interrupted: it will be delivered again.
    Interrupted,
    /// One reject too many: nothing more of the partition may be done.
    Flooded,
}

/// How an event is to be met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Precautions {
    /// Events of its key may be parked.
    pub(super) blocked: bool,
    /// It may be one that kills the process.
    pub(super) crash_loop_guard: bool,
}

/// One event and the lane it stands in.
pub(super) struct Work {
    scope: Arc<Scope>,
    record: Arc<Record>,
    attempts: Attempts,
    blocked: bool,
}

impl Work {
    pub(super) fn new(
        scope: Arc<Scope>,
        record: Arc<Record>,
        lane: Arc<Lane>,
        precautions: Precautions,
    ) -> Self {
        Self {
            attempts: Attempts::of_delivered(
                Arc::clone(&scope),
                Arc::clone(&record),
                lane,
                precautions.crash_loop_guard,
            ),
            scope,
            record,
            blocked: precautions.blocked,
        }
    }

    /// The trace that the event belongs to.
    pub(super) fn trace(&self) -> &Context {
        self.attempts.trace()
    }

    /// Works on the event until something has become of it.
    pub(super) async fn run(mut self) -> Outcome {
        if self.blocked {
            match self.store_behind().await {
                Some(KeyState::Free) => {}
                Some(KeyState::Blocked) => return Outcome::Stored,
                None => return Outcome::Interrupted,
            }
        }
        let outcome = self.attempt_repeatedly().await;
        self.attempts.close().await;
        outcome
    }

    async fn store_behind(&self) -> Option<KeyState> {
        let (scope, record) = (&self.scope, self.record.as_ref());
        let look = || async {
            // Like a handler: so many at once are enough for any database. In a drain it looks without, once.
            let _permit = scope.permit().await;
            scope.retry_store().store_behind(record).await
        };
        scope.until_done(record, look).await
    }

    async fn attempt_repeatedly(&mut self) -> Outcome {
        loop {
            let cause = match self.attempts.make().await {
                Attempted::Handled => return Outcome::Handled,
                Attempted::Failed(cause) => cause,
                Attempted::Hopeless(class) => return self.set_aside(class).await,
                Attempted::Interrupted => return Outcome::Interrupted,
            };
            if self.retry_policy_left().is_zero() && self.store().await {
                return Outcome::Stored;
            }
            if !self.pause(&cause).await {
                return Outcome::Interrupted;
            }
        }
    }

    fn retry_policy_left(&self) -> Duration {
        let retry_policy = self.scope.config().retry_policy.retry_for;
        retry_policy.saturating_sub(self.attempts.failing_for())
    }

    /// Waits for the next attempt; `false` if draining began.
    async fn pause(&self, cause: &BoxError) -> bool {
        let attempt = self.attempts.failed();
        let delay = RETRY.delay(attempt).min(self.retry_policy_left());
        warn_of_retry(&self.record, attempt, delay, cause.as_ref());
        self.scope.pause(delay).await
    }

    /// Stores the event, to be tried later. If that fails, nobody can do anything at present: the patience begins anew,
    /// so that the end of an outage finds its events here.
    async fn store(&mut self) -> bool {
        if self.scope.is_over() {
            return false;
        }
        let fault = self.attempts.fault(FaultClass::RetriesSpent);
        let retry_after = self.scope.config().retry_policy.retry_store_delay;
        let state = RetryState::Waiting { retry_after };
        if let Err(error) = self.scope.store(&self.record, &fault, state).await {
            self.warn_that_it_cannot_be_stored(&error);
            self.attempts.begin_anew();
            return false;
        }
        self.warn_that_it_is_in_the_retry_store(&fault);
        true
    }

    /// Puts the record on the dead-letter topic, and then parks it: only then may its offset be committed.
    async fn set_aside(&self, class: FaultClass) -> Outcome {
        if !self.scope.gate().lets_through() {
            return Outcome::Flooded;
        }
        let fault = self.attempts.fault(class);
        self.say_that_it_is_set_aside(&fault);
        let (scope, record) = (&self.scope, self.record.as_ref());
        let publish = || scope.publish_dead_letter(record, &fault, 0);
        if scope.until_done(record, publish).await.is_none() {
            return Outcome::Interrupted;
        }
        let store = || scope.store(record, &fault, RetryState::Dead);
        match scope.until_done(record, store).await {
            Some(()) => Outcome::Stored,
            None => Outcome::Interrupted,
        }
    }

    fn say_that_it_is_set_aside(&self, fault: &Fault) {
        tracing::error!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempts = fault.attempts,
            class = fault.class.name(),
            error = fault.message,
            "event is set aside on the dead-letter topic"
        );
    }

    fn warn_that_it_is_in_the_retry_store(&self, fault: &Fault) {
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempts = fault.attempts,
            error = fault.message,
            "event is parked, and its key waits for it"
        );
    }

    fn warn_that_it_cannot_be_stored(&self, error: &BoxError) {
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            error = %ErrorChain(error.as_ref()),
            "event cannot be parked"
        );
    }
}
