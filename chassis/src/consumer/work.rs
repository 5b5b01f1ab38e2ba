//! One event in work: attempts, waits between them, and the dead-letter topic as the last resort.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::dead_letters::DeadLetters;
use super::delivery::{Delivery, Record};
use super::lanes::Lane;
use super::{BoxError, ConsumerConfig, Failure, Handler};
use crate::backoff::Backoff;
use crate::error_chain::ErrorChain;
use crate::propagation;

/// Waits between attempts: short at first, since most causes pass quickly; at most half a minute, so that an order
/// moves soon after a long outage ends.
const RETRY: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(30),
};

/// A handler that panics on an event this often is taken to panic on it always.
const MAX_PANICS: u32 = 3;

/// What all work of a partition shares.
#[derive(Clone)]
pub(super) struct Scope {
    handler: Arc<dyn Handler>,
    dead_letters: Arc<DeadLetters>,
    /// Attempts at once, over all partitions of the consumer.
    permits: Arc<Semaphore>,
    config: ConsumerConfig,
    /// Cancelled when no new attempt may begin: work that waits ends here.
    draining: CancellationToken,
    fatal: mpsc::Sender<BoxError>,
}

impl Scope {
    /// The scope of a consumer; the first error that a handler calls fatal goes to `fatal`.
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        dead_letters: DeadLetters,
        config: ConsumerConfig,
        fatal: mpsc::Sender<BoxError>,
    ) -> Self {
        Self {
            handler,
            dead_letters: Arc::new(dead_letters),
            permits: Arc::new(Semaphore::new(config.max_in_flight)),
            config,
            draining: CancellationToken::new(),
            fatal,
        }
    }

    /// The scope of one assignment of one partition: it can be drained without the others.
    pub(super) fn for_partition(&self) -> Self {
        Self {
            draining: self.draining.child_token(),
            ..self.clone()
        }
    }

    /// Records that a partition may hold: those in work, and as many again to keep the lanes filled.
    pub(super) fn max_records_per_partition(&self) -> usize {
        self.config.max_in_flight * 2
    }

    /// Ends what waits for a permit or for its next attempt.
    pub(super) fn stop_waiting(&self) {
        self.draining.cancel();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }
}

/// How work on an event ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its effect is durable, or it is on the dead-letter topic: its offset is done.
    Done,
    /// It was interrupted: it will be delivered again.
    Interrupted,
}

/// One event and the lane it stands in.
pub(super) struct Work {
    scope: Scope,
    record: Arc<Record>,
    lane: Arc<Lane>,
}

impl Work {
    pub(super) fn new(scope: Scope, record: Arc<Record>, lane: Arc<Lane>) -> Self {
        Self {
            scope,
            record,
            lane,
        }
    }

    /// Tries until the event is done, set aside or interrupted.
    pub(super) async fn run(self) -> Outcome {
        let mut panics = 0;
        for attempt in 1_u32.. {
            let Some(result) = self.attempt(attempt).await else {
                return Outcome::Interrupted;
            };
            let failure = match result {
                Ok(Ok(())) => return Outcome::Done,
                Ok(Err(failure)) => failure,
                Err(panic) => {
                    panics += 1;
                    judge_panic(panic, panics)
                }
            };
            match failure {
                Failure::Retry(cause) => {
                    if !self.wait_before_next(attempt, &cause).await {
                        return Outcome::Interrupted;
                    }
                }
                Failure::Reject(cause) => return self.set_aside(attempt, cause).await,
                Failure::Fatal(cause) => {
                    // Only the first fatal error is reported; the consumer is stopping already after it.
                    let _ = self.scope.fatal.try_send(cause);
                    return Outcome::Interrupted;
                }
            }
        }
        Outcome::Interrupted
    }

    /// One attempt; `None` if draining began before it.
    async fn attempt(
        &self,
        attempt: u32,
    ) -> Option<Result<Result<(), Failure>, Box<dyn std::any::Any + Send>>> {
        let permit = tokio::select! {
            biased;
            () = self.scope.draining.cancelled() => return None,
            permit = self.scope.permits.acquire() => permit.ok()?,
        };
        let delivery = Delivery::in_lane(Arc::clone(&self.record), attempt, Arc::clone(&self.lane));
        let span = propagation::process_span(&self.record, self.scope.config.group);
        let handling = self.scope.handler.handle(&delivery).instrument(span);
        let result = AssertUnwindSafe(handling).catch_unwind().await;
        drop(permit);
        Some(result)
    }

    /// Waits for the next attempt; `false` if draining began.
    async fn wait_before_next(&self, attempt: u32, cause: &BoxError) -> bool {
        let delay = RETRY.delay(attempt);
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempt,
            delay_ms = delay.as_millis(),
            error = %ErrorChain(cause.as_ref()),
            "event will be retried"
        );
        tokio::select! {
            () = self.scope.draining.cancelled() => false,
            () = tokio::time::sleep(delay) => true,
        }
    }

    /// Puts the record on the dead-letter topic, as often as it takes: only then may its offset be committed.
    async fn set_aside(self, attempts: u32, cause: BoxError) -> Outcome {
        let reason = ErrorChain(cause.as_ref()).to_string();
        tracing::error!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            attempts,
            error = reason,
            "event is set aside on the dead-letter topic"
        );
        for attempt in 1_u32.. {
            match self
                .scope
                .dead_letters
                .publish(&self.record, attempts, &reason)
                .await
            {
                Ok(()) => return Outcome::Done,
                Err(error) => {
                    if !self.wait_before_next(attempt, &error.into()).await {
                        return Outcome::Interrupted;
                    }
                }
            }
        }
        Outcome::Interrupted
    }
}

fn judge_panic(panic: Box<dyn std::any::Any + Send>, panics: u32) -> Failure {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let cause = format!("the handler panicked: {message}");
    if panics < MAX_PANICS {
        Failure::retry(cause)
    } else {
        Failure::reject(cause)
    }
}
