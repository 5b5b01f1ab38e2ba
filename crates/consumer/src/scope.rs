//! What all work shares: the handler, where events are parked and dead letters go, how much may be in work at once, and
//! when to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::dead_letters::DeadLetters;
use super::delivery::Delivery;
use super::instrumentation::ConsumerTelemetry;
use super::reject_gate::RejectGate;
use super::{BoxError, ConsumerConfig, Failure, Handler};
use crate::retry_store::{Fault, RetryState, RetryStore};
use kafka::record::Record;
use service::backoff::Backoff;
use service::crash_points::{CrashPoint, reach};
use service::error_chain::ErrorChain;

/// Waits between attempts: short at first, since most causes pass quickly; at most half a minute, so that an order
/// moves soon after a long outage ends.
pub(super) const RETRY: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(30),
};

/// What work shares; see [`Scope::for_partition`] for how much of it is shared by whom.
pub(super) struct Scope {
    handler: Arc<dyn Handler>,
    dead_letters: Arc<DeadLetters>,
    retry_store: Arc<dyn RetryStore>,
    /// Attempts at once, over all partitions of the consumer and its sweeper.
    permits: Arc<Semaphore>,
    telemetry: Arc<ConsumerTelemetry>,
    config: ConsumerConfig,
    gate: RejectGate,
    /// Cancelled when no new attempt may begin: work that waits ends here.
    draining: CancellationToken,
    /// Cancelled when the assignment is over: others may have the partition, and decide about its events.
    over: CancellationToken,
    fatal: mpsc::Sender<BoxError>,
}

impl Scope {
    /// The scope of a consumer; the first error that a handler calls fatal goes to `fatal`.
    pub(super) fn new(
        handler: Arc<dyn Handler>,
        retry_store: Arc<dyn RetryStore>,
        dead_letters: DeadLetters,
        telemetry: Arc<ConsumerTelemetry>,
        fatal: mpsc::Sender<BoxError>,
    ) -> Self {
        let config = *telemetry.config();
        Self {
            handler,
            dead_letters: Arc::new(dead_letters),
            retry_store,
            permits: Arc::new(Semaphore::new(config.max_in_flight)),
            telemetry,
            config,
            gate: RejectGate::new(config.retry_policy.reject_limit),
            draining: CancellationToken::new(),
            over: CancellationToken::new(),
            fatal,
        }
    }

    /// The scope of one assignment of one partition, or of the sweeper: it can be drained without the others, and what
    /// it rejects is counted by itself.
    pub(super) fn for_partition(&self) -> Arc<Self> {
        Arc::new(Self {
            gate: RejectGate::new(self.config.retry_policy.reject_limit),
            handler: Arc::clone(&self.handler),
            dead_letters: Arc::clone(&self.dead_letters),
            retry_store: Arc::clone(&self.retry_store),
            permits: Arc::clone(&self.permits),
            telemetry: Arc::clone(&self.telemetry),
            config: self.config,
            draining: self.draining.child_token(),
            over: self.over.child_token(),
            fatal: self.fatal.clone(),
        })
    }

    pub(super) fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    pub(super) fn telemetry(&self) -> &ConsumerTelemetry {
        &self.telemetry
    }

    pub(super) fn retry_store(&self) -> &dyn RetryStore {
        self.retry_store.as_ref()
    }

    pub(super) fn gate(&self) -> &RejectGate {
        &self.gate
    }

    /// Records that a partition may hold: those in work, and as many again to keep the lanes filled.
    pub(super) fn max_records_per_partition(&self) -> usize {
        self.config.max_in_flight * 2
    }

    /// Ends what waits for a permit or for its next attempt.
    pub(super) fn stop_waiting(&self) {
        self.draining.cancel();
    }

    /// From now on nothing is decided about events of this assignment.
    pub(super) fn end(&self) {
        self.over.cancel();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether others may have the partition already.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// The right to make one attempt; nothing, if draining began before.
    pub(super) async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.permits_of(1).await
    }

    /// The right to make the only attempt in this process.
    pub(super) async fn permit_to_be_alone(&self) -> Option<OwnedSemaphorePermit> {
        let all = u32::try_from(self.config.max_in_flight).unwrap_or(u32::MAX);
        self.permits_of(all).await
    }

    async fn permits_of(&self, count: u32) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => None,
            permit = Arc::clone(&self.permits).acquire_many_owned(count) => permit.ok(),
        }
    }

    /// Hands over a record.
    pub(super) async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        self.handler.handle(delivery).await
    }

    /// Stops the consumer.
    pub(super) fn give_up(&self, cause: BoxError) {
        // Only the first fatal error is reported; the consumer is stopping already after it.
        let _ = self.fatal.try_send(cause);
    }

    /// Puts a record on the dead-letter topic; done when the broker has it.
    pub(super) async fn publish_dead_letter(
        &self,
        record: &Record,
        fault: &Fault,
        redrives: u32,
    ) -> Result<(), BoxError> {
        reach(CrashPoint::BeforeDeadLetter)?;
        self.dead_letters.publish(record, fault, redrives).await?;
        self.telemetry.set_aside(fault.class);
        reach(CrashPoint::AfterDeadLetter)?;
        Ok(())
    }

    /// Stores an event.
    pub(super) async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), BoxError> {
        self.retry_store.store(record, fault, state).await?;
        reach(CrashPoint::AfterStore)?;
        Ok(())
    }

    /// Waits; `false` if draining began.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// Does something about a record until it is done; nothing, if draining began before it was.
    pub(super) async fn until_done<T, E: Into<BoxError>, S>(
        &self,
        record: &Record,
        step: impl Fn() -> S,
    ) -> Option<T>
    where
        S: Future<Output = Result<T, E>>,
    {
        for attempt in 1_u32.. {
            if self.is_over() {
                return None;
            }
            let error: BoxError = match step().await {
                Ok(done) => return Some(done),
                Err(error) => error.into(),
            };
            let delay = RETRY.delay(attempt);
            warn_of_retry(record, attempt, delay, error.as_ref());
            if !self.pause(delay).await {
                return None;
            }
        }
        None
    }
}

/// Says that something about a record failed and will be tried again.
pub(super) fn warn_of_retry(
    record: &Record,
    attempt: u32,
    delay: Duration,
    error: &(dyn std::error::Error + 'static),
) {
    tracing::warn!(
        topic = record.topic,
        partition = record.partition,
        offset = record.offset,
        attempt,
        delay_ms = delay.as_millis(),
        error = %ErrorChain(error),
        "event will be retried"
    );
}
