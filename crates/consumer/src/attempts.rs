//! The attempts at one record, one after another.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use opentelemetry::Context;

use super::crash_loop_guard::{Admission, CrashLoopGuard};
use super::delivery::Delivery;
use super::failures::{Failures, PANICKED};
use super::lanes::Lane;
use super::scope::Scope;
use super::{BoxError, Failure};
use crate::retry_store::{Fault, FaultClass};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};
use telemetry::propagation;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempted {
    /// The effect is durable.
    Handled,
    /// It failed, and could succeed another time.
    Failed(BoxError),
    /// It cannot succeed.
    Hopeless(FaultClass),
    /// It was not made, or nothing can be handled any more.
    Interrupted,
}

/// What the handler said, unless it panicked.
pub(super) type Handled = Result<Result<(), Failure>, Box<dyn Any + Send>>;

/// One record that is to be handled.
pub(super) struct Attempts {
    scope: Arc<Scope>,
    record: Arc<Record>,
    /// The trace that the record belongs to.
    trace: Context,
    /// What waits behind it.
    lane: Arc<Lane>,
    guard: CrashLoopGuard,
    failures: Failures,
    /// Reached when the handler has done its work.
    after_effect: CrashPoint,
}

impl Attempts {
    /// Of a record that came from its partition.
    pub(super) fn of_delivered(
        scope: Arc<Scope>,
        record: Arc<Record>,
        lane: Arc<Lane>,
        crash_loop_guard: bool,
    ) -> Self {
        Self {
            guard: CrashLoopGuard::new(Arc::clone(&scope), crash_loop_guard),
            trace: propagation::of_event(&record.headers),
            scope,
            record,
            lane,
            failures: Failures::default(),
            after_effect: CrashPoint::AfterEffect,
        }
    }

    /// Of a record that was parked. It has no followers: what came later is parked behind it. It is always handled with
    /// care: what killed a process may lie here, and nobody waits for so few notes.
    pub(super) fn of_stored(scope: Arc<Scope>, record: Arc<Record>, fault: Option<&Fault>) -> Self {
        Self {
            guard: CrashLoopGuard::new(Arc::clone(&scope), true),
            trace: propagation::of_event(&record.headers),
            scope,
            record,
            lane: Arc::default(),
            failures: Failures::after(fault),
            after_effect: CrashPoint::AfterRetriedEffect,
        }
    }

    /// The trace that the record belongs to: the context of the span that decided the event.
    pub(super) fn trace(&self) -> &Context {
        &self.trace
    }

    /// Attempts that failed.
    pub(super) fn failed(&self) -> u32 {
        self.failures.attempts()
    }

    /// For how long they have been failing.
    pub(super) fn failing_for(&self) -> Duration {
        self.failures.lasted()
    }

    /// The time of failing begins anew.
    pub(super) fn begin_anew(&mut self) {
        self.failures.begin_anew();
    }

    /// What is wrong with the event.
    pub(super) fn fault(&self, class: FaultClass) -> Fault {
        self.failures.fault(class)
    }

    /// Whether the note of the last attempt could not be made or removed: the database is away.
    pub(super) fn note_stands(&self) -> bool {
        self.guard.note_stands()
    }

    /// No attempt follows.
    pub(super) async fn close(&mut self) {
        self.guard.close(&self.record).await;
    }

    /// Makes one.
    pub(super) async fn make(&mut self) -> Attempted {
        match self.guard.admit(&self.record).await {
            Ok(Admission::Granted(permit)) => {
                let result = self.handle().await;
                self.guard.ended(&self.record).await;
                drop(permit);
                self.judge(result)
            }
            Ok(Admission::Refused { deaths }) => {
                self.failures.note_deaths(deaths);
                Attempted::Hopeless(FaultClass::KilledTheProcess)
            }
            Ok(Admission::Interrupted) => Attempted::Interrupted,
            Err(error) => self.failed_by(error.into()),
        }
    }

    async fn handle(&self) -> Handled {
        let (record, lane) = (Arc::clone(&self.record), Arc::clone(&self.lane));
        let delivery = Delivery::in_lane(record, self.failures.attempts() + 1, lane);
        let telemetry = self.scope.telemetry();
        let observed = telemetry.attempt(&delivery, &self.trace);
        let handling = observed.span().carry(self.scope.handle(&delivery));
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
                self.failures.note(&cause);
                Attempted::Hopeless(FaultClass::Rejected)
            }
            Ok(Err(Failure::Fatal(cause))) => {
                self.scope.give_up(cause);
                Attempted::Interrupted
            }
            Err(panic) => {
                self.log_panic(panic.as_ref());
                if self.failures.note_panic() {
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
            "a handler panicked"
        );
    }

    fn failed_by(&mut self, cause: BoxError) -> Attempted {
        self.failures.note(&cause);
        Attempted::Failed(cause)
    }
}
