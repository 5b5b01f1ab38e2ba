//! One in-flight event, until its offset is complete: handled, moved to the retry store, or a dead letter.
//!
//! ```text
//!  key blocked? ──yes──▶ to the retry store, behind the others ──────────────────────▶ complete
//!      │ no
//!      ▼
//!  attempt ──handled─────────────────────────────────────────────────────────────────▶ complete
//!    ▲  │ └─hopeless──▶ reject gate ──open──▶ dead letter, acknowledged ─▶ retry store ▶ complete
//!    │  │ failed              └──tripped──▶ the partition stops
//!    │  ▼
//!  backoff, while RETRY_FOR lasts; then ──▶ to the retry store, retried later ───────▶ complete
//!    ▲                                        │ failed: the database is unreachable
//!    └────────────────────────────────────────┘ RETRY_FOR starts again
//! ```

use std::sync::Arc;

use opentelemetry::Context;

use crate::attempts::{Attempted, Attempts, Shared};
use crate::concurrency::DrainTokens;
use crate::handler::BoxError;
use crate::lanes::Turn;
use crate::retry_policy::BACKOFF;
use crate::retry_store::{Fault, FaultClass, KeyState, RetryState};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};
use service::error_chain::ErrorChain;

mod reject_gate;

use reject_gate::RejectGate;

/// How work on an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its effect is durable: its offset is complete.
    Handled,
    /// It is in the retry store, and its key is blocked: its offset is complete.
    Stored,
    /// It was interrupted and will be delivered again.
    Interrupted,
    /// It was rejected and the reject gate is tripped: the partition stops.
    Tripped,
}

/// Works on the events of one partition session: drains on its own and counts its own rejects.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: RejectGate,
    pub(crate) drain: DrainTokens,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            gate: RejectGate::new(shared.config().retry_policy.reject_limit),
            drain: DrainTokens::default(),
            shared,
        }
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), BoxError> {
        let retry_store = &self.shared.retry_store;
        retry_store.store(record, fault, state).await?;
        reach(CrashPoint::AfterStore)?;
        Ok(())
    }

    /// Retries a step until it succeeds; `None` if draining or the end of the session came first. A step that has begun is
    /// always completed.
    async fn until_done<T, E: Into<BoxError>, S>(
        &self,
        record: &Record,
        step: impl Fn() -> S,
    ) -> Option<T>
    where
        S: Future<Output = Result<T, E>>,
    {
        for attempt in 1_u32.. {
            if self.drain.is_session_over() {
                return None;
            }
            let error: BoxError = match step().await {
                Ok(done) => return Some(done),
                Err(error) => error.into(),
            };
            let delay = BACKOFF.delay(attempt);
            warn_of_retry(record, attempt, delay, &error);
            if !self.drain.sleep(delay).await {
                return None;
            }
        }
        None
    }
}

/// One event and its attempts.
pub(crate) struct Work {
    worker: Arc<Worker>,
    record: Arc<Record>,
    attempts: Attempts,
    may_be_blocked: bool,
}

impl Work {
    /// `may_be_blocked`: its key may have events in the retry store. `is_guarded`: it may be a poison pill.
    pub(crate) fn new(
        worker: Arc<Worker>,
        turn: Turn,
        may_be_blocked: bool,
        is_guarded: bool,
    ) -> Self {
        let (shared, record) = (Arc::clone(&worker.shared), Arc::clone(&turn.0));
        Self {
            attempts: Attempts::delivered(shared, turn, is_guarded, &worker.drain),
            worker,
            record,
            may_be_blocked,
        }
    }

    pub(crate) fn trace(&self) -> &Context {
        &self.attempts.trace
    }

    pub(crate) async fn run(mut self) -> Outcome {
        if self.may_be_blocked {
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
        let (worker, shared) = (&self.worker, &self.worker.shared);
        let step = || async {
            // Like a handler call: the limit suits the database. During a drain it runs once without a permit.
            let _permit = shared.limit.acquire(&worker.drain).await;
            shared.retry_store.store_behind(&self.record).await
        };
        worker.until_done(&self.record, step).await
    }

    async fn attempt_repeatedly(&mut self) -> Outcome {
        let policy = self.worker.shared.config().retry_policy;
        loop {
            let cause = match self.attempts.make().await {
                Attempted::Handled => return Outcome::Handled,
                Attempted::Failed(cause) => cause,
                Attempted::Rejected(class) => return self.dead_letter(class).await,
                Attempted::Interrupted => return Outcome::Interrupted,
            };
            let failing_for = self.attempts.failures.lasted();
            if policy.is_exhausted(failing_for) && self.move_to_retry_store().await {
                return Outcome::Stored;
            }
            let attempt = self.attempts.failures.attempts;
            let delay = policy.backoff(attempt, self.attempts.failures.lasted());
            warn_of_retry(&self.record, attempt, delay, &cause);
            if !self.worker.drain.sleep(delay).await {
                return Outcome::Interrupted;
            }
        }
    }

    /// Moves the event to the retry store, to be retried later. If that fails, the database is unreachable and the retry
    /// time starts again, so that the event is still in memory when the outage ends.
    async fn move_to_retry_store(&mut self) -> bool {
        if self.worker.drain.is_session_over() {
            return false;
        }
        let fault = self.attempts.failures.fault(FaultClass::RetriesSpent);
        let retry_after = self.worker.shared.config().retry_policy.retry_store_delay;
        let state = RetryState::Waiting { retry_after };
        if let Err(error) = self.worker.store(&self.record, &fault, state).await {
            self.warn_of_failed_move(&error);
            self.attempts.failures.restart_retry_time();
            return false;
        }
        self.warn_of_move(&fault);
        true
    }

    /// Publishes the dead letter, then stores the event: only then may its offset be committed.
    async fn dead_letter(&self, class: FaultClass) -> Outcome {
        if !self.worker.gate.try_reject() {
            return Outcome::Tripped;
        }
        let fault = self.attempts.failures.fault(class);
        self.report_dead_letter(&fault);
        let (worker, record) = (&self.worker, self.record.as_ref());
        let publish = || worker.shared.dead_letters.publish(record, &fault, 0);
        let Some(fault) = worker.until_done(record, publish).await else {
            return Outcome::Interrupted;
        };
        let store = || worker.store(record, &fault, RetryState::Dead);
        match worker.until_done(record, store).await {
            Some(()) => Outcome::Stored,
            None => Outcome::Interrupted,
        }
    }

    fn report_dead_letter(&self, fault: &Fault) {
        tracing::error!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempts = fault.attempts,
            class = fault.class.name(),
            error = fault.message,
            "event goes to the dead-letter topic"
        );
    }

    fn warn_of_move(&self, fault: &Fault) {
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempts = fault.attempts,
            error = fault.message,
            "in-memory retries exhausted, event moved to the retry store"
        );
    }

    fn warn_of_failed_move(&self, error: &BoxError) {
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            error = %ErrorChain(error.as_ref()),
            "move to the retry store failed"
        );
    }
}

fn warn_of_retry(record: &Record, attempt: u32, delay: std::time::Duration, error: &BoxError) {
    tracing::warn!(
        topic = record.topic,
        partition = record.partition,
        offset = record.offset,
        attempt,
        delay_ms = delay.as_millis(),
        error = %ErrorChain(error.as_ref()),
        "event will be retried"
    );
}
