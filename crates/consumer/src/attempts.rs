//! The attempts at one record, one after another: [`Attempts`] calls the handler and classifies the result.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use opentelemetry::Context;
use tokio::sync::mpsc;

use crate::concurrency::{ConcurrencyLimit, DrainTokens};
use crate::crash_loop_guard::{CrashLoopGuard, GuardDecision};
use crate::failures::{Failures, PANICKED};
use crate::handler::{BoxError, Delivery, Failure, Handled, Handler};
use crate::instrumentation::ConsumerTelemetry;
use crate::lanes::Lane;
use crate::retry_store::{Fault, FaultClass, RetryStore};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};
use telemetry::propagation;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// The effect is durable.
    Handled,
    /// It failed and can be retried.
    Failed(BoxError),
    /// A retry cannot succeed.
    Hopeless(FaultClass),
    /// It was not made, or the consumer is stopping with a fatal error.
    Interrupted,
}

/// Makes [`Attempts`]. One per consumer.
#[derive(Clone)]
pub(crate) struct Attempter {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) retry_store: Arc<dyn RetryStore>,
    pub(crate) limit: ConcurrencyLimit,
    pub(crate) telemetry: Arc<ConsumerTelemetry>,
    /// Receives the first fatal error; the consumer stops with it.
    pub(crate) fatal: mpsc::Sender<BoxError>,
}

impl Attempter {
    /// The attempts at a record of a partition.
    pub(crate) fn delivered(
        &self,
        record: Arc<Record>,
        lane: Arc<Lane>,
        is_guarded: bool,
        drain: &DrainTokens,
    ) -> Attempts {
        Attempts {
            handler: Arc::clone(&self.handler),
            telemetry: Arc::clone(&self.telemetry),
            fatal: self.fatal.clone(),
            guard: self.guard(is_guarded, drain),
            trace: propagation::of_event(&record.headers),
            record,
            lane,
            failures: Failures::default(),
            after_effect: CrashPoint::AfterEffect,
        }
    }

    /// The attempts at a record of the retry store. It has no followers: later events of its key are in the retry store
    /// behind it. It is always guarded: the retry store may hold a poison pill, and the few extra writes cost little.
    pub(crate) fn stored(
        &self,
        record: Arc<Record>,
        fault: Option<&Fault>,
        drain: &DrainTokens,
    ) -> Attempts {
        Attempts {
            failures: Failures::after(fault),
            after_effect: CrashPoint::AfterRetriedEffect,
            ..self.delivered(record, Arc::default(), true, drain)
        }
    }

    fn guard(&self, is_guarded: bool, drain: &DrainTokens) -> CrashLoopGuard {
        let retry_store = Arc::clone(&self.retry_store);
        CrashLoopGuard::new(retry_store, self.limit.clone(), drain.clone(), is_guarded)
    }
}

/// One record to be handled.
pub(crate) struct Attempts {
    handler: Arc<dyn Handler>,
    telemetry: Arc<ConsumerTelemetry>,
    fatal: mpsc::Sender<BoxError>,
    guard: CrashLoopGuard,
    /// The span that created the event.
    trace: Context,
    record: Arc<Record>,
    lane: Arc<Lane>,
    failures: Failures,
    /// Reached when the handler has succeeded.
    after_effect: CrashPoint,
}

impl Attempts {
    /// The context of the span that created the event.
    pub(crate) fn trace(&self) -> &Context {
        &self.trace
    }

    /// Failed attempts so far.
    pub(crate) fn failed(&self) -> u32 {
        self.failures.attempts()
    }

    /// Time since the first failure.
    pub(crate) fn failing_for(&self) -> Duration {
        self.failures.lasted()
    }

    /// Restarts the retry time: it counts from the next failure.
    pub(crate) fn restart_retry_time(&mut self) {
        self.failures.restart_retry_time();
    }

    pub(crate) fn fault(&self, class: FaultClass) -> Fault {
        self.failures.fault(class)
    }

    /// Whether the attempt count of the guard is still in the database: it could not be written or removed, the database
    /// is unreachable.
    pub(crate) fn is_count_pending(&self) -> bool {
        self.guard.is_count_pending()
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
                Attempted::Hopeless(FaultClass::KilledTheProcess)
            }
            Ok(GuardDecision::Interrupted) => Attempted::Interrupted,
            Err(error) => self.failed_by(error.into()),
        }
    }

    async fn handle(&self) -> Handled {
        let (record, lane) = (Arc::clone(&self.record), Arc::clone(&self.lane));
        let delivery = Delivery::in_lane(record, self.failures.attempts() + 1, lane);
        let observed = self.telemetry.attempt(&delivery, &self.trace);
        let handling = observed.span().carry(self.handler.handle(&delivery));
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
                Attempted::Hopeless(FaultClass::Rejected)
            }
            Ok(Err(Failure::Fatal(cause))) => {
                // The consumer stops with the first fatal error; later ones are dropped.
                let _ = self.fatal.try_send(cause);
                Attempted::Interrupted
            }
            Err(panic) => {
                self.log_panic(panic.as_ref());
                if self.failures.add_panic() {
                    return Attempted::Hopeless(FaultClass::Panicked);
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
