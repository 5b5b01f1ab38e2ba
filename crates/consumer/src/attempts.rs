//! The attempts at one record, one after another: [`Attempts`] calls the handler and classifies the result.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use opentelemetry::Context;
use tokio::sync::mpsc;

use crate::concurrency::{ConcurrencyLimit, DrainTokens};
use crate::config::ConsumerConfig;
use crate::crash_loop_guard::{CrashLoopGuard, GuardDecision};
use crate::dead_letters::DeadLetterSink;
use crate::handler::{BoxError, Delivery, Failure, Handled, Handler};
use crate::instrumentation::ConsumerTelemetry;
use crate::lanes::{Lane, Turn};
use crate::poll::ConsumerError;
use crate::retry_store::{Claimed, FaultClass, RetryStore};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};
use telemetry::propagation;

mod failures;

use failures::PANICKED;
pub(crate) use failures::{Failures, unix_milliseconds};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// The effect is durable.
    Handled,
    /// It failed and can be retried.
    Failed(BoxError),
    /// A retry cannot succeed.
    Rejected(FaultClass),
    /// It was not made, or the consumer is stopping with a fatal error.
    Interrupted,
}

/// The parts that all partitions and the sweeper of one consumer share.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) retry_store: Arc<dyn RetryStore>,
    pub(crate) dead_letters: DeadLetterSink,
    pub(crate) limit: ConcurrencyLimit,
    pub(crate) telemetry: Arc<ConsumerTelemetry>,
    /// Receives the first fatal error; the consumer stops with it.
    pub(crate) fatal: mpsc::Sender<ConsumerError>,
}

impl Shared {
    pub(crate) fn config(&self) -> &ConsumerConfig {
        self.telemetry.config()
    }
}

/// One record to be handled.
pub(crate) struct Attempts {
    shared: Arc<Shared>,
    pub(crate) guard: CrashLoopGuard,
    /// The context of the span that created the event.
    pub(crate) trace: Context,
    record: Arc<Record>,
    lane: Arc<Lane>,
    pub(crate) failures: Failures,
    /// Reached when the handler has succeeded.
    after_effect: CrashPoint,
}

impl Attempts {
    /// The attempts at a record of a partition.
    pub(crate) fn delivered(
        shared: Arc<Shared>,
        (record, lane): Turn,
        is_guarded: bool,
        drain: &DrainTokens,
    ) -> Self {
        let (retry_store, limit) = (Arc::clone(&shared.retry_store), shared.limit.clone());
        Self {
            shared,
            guard: CrashLoopGuard::new(retry_store, limit, drain.clone(), is_guarded),
            trace: propagation::of_record(&record.headers),
            record,
            lane,
            failures: Failures::default(),
            after_effect: CrashPoint::AfterEffect,
        }
    }

    /// The attempts at a record of the retry store. It has no followers: later events of its key are in the retry store
    /// behind it. It is always guarded: the retry store may hold a poison pill, and the few extra writes cost little.
    pub(crate) fn stored(shared: Arc<Shared>, event: &Claimed, drain: &DrainTokens) -> Self {
        let turn = (Arc::new(event.record.clone()), Arc::default());
        Self {
            failures: Failures::after(event.fault.as_ref()),
            after_effect: CrashPoint::AfterRetriedEffect,
            ..Self::delivered(shared, turn, true, drain)
        }
    }

    /// No attempt follows.
    pub(crate) async fn close(&mut self) {
        self.guard.close(&self.record).await;
    }

    /// Makes one attempt.
    pub(crate) async fn make(&mut self) -> Attempted {
        match self.guard.admit(&self.record).await {
            Ok(GuardDecision::Granted(permit)) => {
                let result = self.handle().await;
                self.guard.ended(&self.record).await;
                drop(permit);
                self.judge(result)
            }
            Ok(GuardDecision::Refused { deaths }) => {
                self.failures.add_deaths(deaths);
                Attempted::Rejected(FaultClass::KilledTheProcess)
            }
            Ok(GuardDecision::Interrupted) => Attempted::Interrupted,
            Err(error) => self.failed_by(error.into()),
        }
    }

    async fn handle(&self) -> Handled {
        let (record, lane) = (Arc::clone(&self.record), Arc::clone(&self.lane));
        let delivery = Delivery::in_lane(record, self.failures.attempts + 1, lane);
        let observed = self.shared.telemetry.attempt(&delivery, &self.trace);
        let handling = observed.span().carry(self.shared.handler.handle(&delivery));
        let result = AssertUnwindSafe(handling).catch_unwind().await;
        let result = result
            .map(|result| result.and_then(|()| reach(self.after_effect).map_err(Failure::retry)));
        observed.ended(&result);
        result
    }

    fn judge(&mut self, result: Handled) -> Attempted {
        match result {
            Ok(Ok(())) => Attempted::Handled,
            Ok(Err(Failure::Retry(cause))) => self.failed_by(cause),
            Ok(Err(Failure::Reject(cause))) => {
                self.failures.add(&cause);
                Attempted::Rejected(FaultClass::Rejected)
            }
            Ok(Err(Failure::Fatal(cause))) => {
                // The consumer stops with the first fatal error; later ones are dropped.
                let _ = self.shared.fatal.try_send(ConsumerError::Handler(cause));
                Attempted::Interrupted
            }
            Err(panic) => {
                self.log_panic(panic.as_ref());
                if self.failures.add_panic() {
                    return Attempted::Rejected(FaultClass::Panicked);
                }
                Attempted::Failed(PANICKED.into())
            }
        }
    }

    fn log_panic(&self, panic: &(dyn Any + Send)) {
        let said = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::warn!(
            topic = self.record.topic,
            partition = self.record.partition,
            offset = self.record.offset,
            said,
            "handler panicked"
        );
    }

    fn failed_by(&mut self, cause: BoxError) -> Attempted {
        self.failures.add(&cause);
        Attempted::Failed(cause)
    }
}
