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

use crate::attempts::{Attempted, Attempter, Attempts};
use crate::concurrency::DrainTokens;
use crate::dead_letters::DeadLetterSink;
use crate::handler::BoxError;
use crate::lanes::Turn;
use crate::reject_gate::RejectGate;
use crate::retry_policy::{BACKOFF, RetryPolicy};
use crate::retry_store::{Fault, FaultClass, KeyState, RetryState, RetryStore, RetryStoreError};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};
use service::error_chain::ErrorChain;

/// How work on an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its effect is durable: its offset is complete.
    Handled,
    /// It is in the retry store, and its key is blocked: its offset is complete.
    MovedToRetryStore,
    /// It was interrupted and will be delivered again.
    Interrupted,
    /// It was rejected and the reject gate is tripped: the partition stops.
    Tripped,
}

/// Works on the events of one partition session.
pub(crate) struct Worker {
    attempter: Attempter,
    retry_store: Arc<dyn RetryStore>,
    dead_letters: Arc<DeadLetterSink>,
    retry_policy: RetryPolicy,
    pub(crate) gate: RejectGate,
    pub(crate) drain: DrainTokens,
}

impl Worker {
    pub(crate) fn new(
        attempter: Attempter,
        retry_store: Arc<dyn RetryStore>,
        dead_letters: Arc<DeadLetterSink>,
        retry_policy: RetryPolicy,
    ) -> Self {
        Self {
            attempter,
            retry_store,
            dead_letters,
            retry_policy,
            gate: RejectGate::new(retry_policy.reject_limit),
            drain: DrainTokens::default(),
        }
    }

    /// A worker that drains on its own and counts its own rejects.
    pub(crate) fn for_session(&self) -> Self {
        Self::new(
            self.attempter.clone(),
            Arc::clone(&self.retry_store),
            Arc::clone(&self.dead_letters),
            self.retry_policy,
        )
    }

    pub(crate) fn retry_store(&self) -> &Arc<dyn RetryStore> {
        &self.retry_store
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), BoxError> {
        self.retry_store.store(record, fault, state).await?;
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
        (record, lane): Turn,
        may_be_blocked: bool,
        is_guarded: bool,
    ) -> Self {
        let drain = &worker.drain;
        let attempts = (worker.attempter).delivered(Arc::clone(&record), lane, is_guarded, drain);
        Self {
            worker,
            record,
            attempts,
            may_be_blocked,
        }
    }

    pub(crate) fn trace(&self) -> &Context {
        self.attempts.trace()
    }

    pub(crate) async fn run(mut self) -> Outcome {
        if self.may_be_blocked {
            match self.store_behind().await {
                Some(KeyState::Free) => {}
                Some(KeyState::Blocked) => return Outcome::MovedToRetryStore,
                None => return Outcome::Interrupted,
            }
        }
        let outcome = self.attempt_repeatedly().await;
        self.attempts.close().await;
        outcome
    }

    async fn store_behind(&self) -> Option<KeyState> {
        let (worker, record) = (&self.worker, self.record.as_ref());
        let step = || async {
            // Like a handler call: the limit suits the database. During a drain it runs once without a permit.
            let _permit = worker.attempter.limit.acquire(&worker.drain).await;
            let stored: Result<_, RetryStoreError> = worker.retry_store.store_behind(record).await;
            stored
        };
        worker.until_done(record, step).await
    }

    async fn attempt_repeatedly(&mut self) -> Outcome {
        let policy = self.worker.retry_policy;
        loop {
            let cause = match self.attempts.make().await {
                Attempted::Handled => return Outcome::Handled,
                Attempted::Failed(cause) => cause,
                Attempted::Hopeless(class) => return self.set_aside(class).await,
                Attempted::Interrupted => return Outcome::Interrupted,
            };
            if policy.is_exhausted(self.attempts.failing_for()) && self.move_to_retry_store().await
            {
                return Outcome::MovedToRetryStore;
            }
            let attempt = self.attempts.failed();
            let delay = policy.backoff(attempt, self.attempts.failing_for());
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
        let fault = self.attempts.fault(FaultClass::RetriesSpent);
        let retry_after = self.worker.retry_policy.retry_store_delay;
        let state = RetryState::Waiting { retry_after };
        if let Err(error) = self.worker.store(&self.record, &fault, state).await {
            self.warn_of_failed_move(&error);
            self.attempts.restart_retry_time();
            return false;
        }
        self.warn_of_move(&fault);
        true
    }

    /// Publishes the dead letter, then stores the event: only then may its offset be committed.
    async fn set_aside(&self, class: FaultClass) -> Outcome {
        if !self.worker.gate.lets_through() {
            return Outcome::Tripped;
        }
        let fault = self.attempts.fault(class);
        self.report_dead_letter(&fault);
        let (worker, record) = (&self.worker, self.record.as_ref());
        let publish = || worker.dead_letters.publish(record, &fault, 0);
        if worker.until_done(record, publish).await.is_none() {
            return Outcome::Interrupted;
        }
        let store = || worker.store(record, &fault, RetryState::Dead);
        match worker.until_done(record, store).await {
            Some(()) => Outcome::MovedToRetryStore,
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
