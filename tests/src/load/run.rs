//! One measurement: calls on a schedule or by callers, watches of what they placed, and what ends it early.
//!
//! ```text
//! open loop     due ─▶ a place in the queue ─▶ a turn at the target ─▶ sent ─▶ answered
//!                 └──────────────── latency ───────────────────────────────────┘
//!                                                                        └─ naive latency
//! closed loop   each caller calls again when it is answered; both latencies are the same
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use proto::orders::v1::Order;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::caller::Caller;
use super::figures::{EndedCall, LoadFigures};
use super::plan::{LoadPace, LoadPlan, RunEnd};
use super::recorder::Recorder;
use super::trace::TraceContext;
use super::watchers::Watchers;
use crate::closed_loop::{self, Extent};
use crate::open_loop::answer::{OrderAvailability, availability};
use crate::open_loop::outcomes::Times;
use crate::open_loop::pacer::{self, Calls, DueCall};

/// How soon a run notices what ends it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A measurement in progress.
#[derive(Debug)]
pub(super) struct LoadRun {
    plan: LoadPlan,
    caller: Arc<Caller>,
    watchers: Watchers,
    recorder: Arc<Recorder>,
    turns: Semaphore,
    stop: CancellationToken,
}

impl LoadRun {
    pub(super) fn new(plan: LoadPlan, caller: Arc<Caller>, watchers: Watchers) -> Arc<Self> {
        Arc::new(Self {
            recorder: Arc::new(Recorder::new(plan.measured_length())),
            turns: Semaphore::new(plan.in_flight),
            stop: CancellationToken::new(),
            caller,
            watchers,
            plan,
        })
    }

    pub(super) fn plan(&self) -> &LoadPlan {
        &self.plan
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Runs to the end, whatever it is, and returns what was measured until then.
    ///
    /// # Errors
    /// When the tool itself fails.
    pub(super) async fn measure(
        self: &Arc<Self>,
        interrupt: &CancellationToken,
    ) -> Result<(LoadFigures, RunEnd)> {
        let _stop_if_dropped = self.stop.clone().drop_guard();
        let start = Instant::now();
        let work = self.clone().pace();
        tokio::pin!(work);
        let end = tokio::select! {
            done = &mut work => done.map(|()| RunEnd::Completed)?,
            trouble = self.trouble(interrupt) => trouble,
        };
        let counted = start.elapsed().saturating_sub(self.plan.warm_up);
        let length = counted.min(self.plan.measured_length());
        let outcomes_end = match end {
            RunEnd::Completed => interrupt.clone(),
            _ => {
                self.stop.cancel();
                work.await?;
                self.stop.clone()
            }
        };
        self.watchers.clone().finish(&outcomes_end).await;
        // A journal that broke with the last call is found here.
        let end = match (end, self.caller.journal.failure()) {
            (RunEnd::Completed, Some(failure)) => RunEnd::JournalFailed(failure.to_owned()),
            (end, _) => end,
        };
        Ok((self.recorder.figures(length), end))
    }

    async fn pace(self: Arc<Self>) -> Result<()> {
        match self.plan.pace.clone() {
            LoadPace::Open { schedule, arrivals } => {
                let due_times = self
                    .plan
                    .due_times(schedule.curve(self.plan.length), arrivals);
                let outstanding = self.plan.in_flight.saturating_add(self.plan.queue);
                pacer::run(due_times, outstanding, self.stop.clone(), OpenCalls(self)).await
            }
            LoadPace::Closed { callers } => self.closed_loop(callers).await,
        }
    }

    async fn closed_loop(self: &Arc<Self>, callers: usize) -> Result<()> {
        let run = [self.clone()];
        let warm_up = closed_loop::measure(callers, self.plan.warm_up, &run, |run| async move {
            run.turn_of_caller(None).await
        });
        let start = self
            .unless_stopped(warm_up.await)
            .map(|()| Instant::now())?;
        let count = self.plan.count.unwrap_or(u64::MAX);
        let extent = Extent::CallsWithin(count, self.plan.length);
        let counted = closed_loop::measure(callers, extent, &run, |run| async move {
            run.turn_of_caller(Some(start.elapsed())).await
        });
        self.unless_stopped(counted.await)
    }

    /// A stop ends a round with an error, which is none of the run.
    fn unless_stopped<T>(&self, round: Result<T>) -> Result<()> {
        match round {
            Err(error) if !self.stop.is_cancelled() => Err(error),
            _ => Ok(()),
        }
    }

    async fn turn_of_caller(&self, at: Option<Duration>) -> Result<()> {
        ensure!(!self.stop.is_cancelled(), "the run was stopped");
        if let Some(at) = at {
            self.recorder.offered(at);
        }
        self.make(Instant::now(), at).await;
        Ok(())
    }

    /// Waits for a turn and makes a call. `at` is `None` in the warm-up.
    async fn make(&self, due: Instant, at: Option<Duration>) {
        let begun = Instant::now();
        // The semaphore is never closed.
        let turn = self.turns.acquire().await;
        if self.stop.is_cancelled() {
            return self.withdraw(at);
        }
        let operation = self.caller.possible(self.plan.mix.draw());
        let trace = TraceContext::sampled_at(self.plan.sampling);
        let sent = Instant::now();
        let answer = self.caller.call(operation, &trace).await;
        let times = Times {
            due,
            sent,
            answered: Instant::now(),
        };
        drop(turn);
        if self.was_not_written(&answer) {
            return self.withdraw(at);
        }
        let call = at.map(|at| EndedCall {
            operation,
            at,
            begun,
            times,
            trace,
        });
        self.record(call, due, answer);
    }

    fn record(&self, call: Option<EndedCall>, due: Instant, answer: Result<Option<Order>, Status>) {
        let (order, answer) = match answer {
            Ok(Some(order)) => {
                let stock = availability(&order);
                (Some(order), Ok(stock))
            }
            Ok(None) => (None, Ok(OrderAvailability::NotChecked)),
            Err(status) => (None, Err(status)),
        };
        let Some(call) = call else {
            return self.recorder.warmed(&answer);
        };
        self.recorder.ended(&call, answer);
        if let Some(order) = order
            && rand::random::<f64>() < self.plan.watch_share
        {
            self.watchers.watch(order, due, self.recorder.clone());
        }
    }

    fn withdraw(&self, at: Option<Duration>) {
        if let Some(at) = at {
            self.recorder.withdrawn(at);
        }
    }

    /// Whether the call was not made, because its line could not be written into the journal.
    fn was_not_written(&self, answer: &Result<Option<Order>, Status>) -> bool {
        let is_aborted = answer
            .as_ref()
            .is_err_and(|status| status.code() == Code::Aborted);
        is_aborted && self.caller.journal.failure().is_some()
    }

    /// Waits for what ends the run early.
    async fn trouble(&self, interrupt: &CancellationToken) -> RunEnd {
        loop {
            if interrupt.is_cancelled() {
                return RunEnd::Interrupted;
            }
            if let Some(failure) = self.caller.journal.failure() {
                return RunEnd::JournalFailed(failure.to_owned());
            }
            if let Some((silence, failure)) = self.recorder.silence()
                && self
                    .plan
                    .patience
                    .is_some_and(|patience| silence >= patience)
            {
                return RunEnd::TargetGone(format!(
                    "no answer for {:.1} s; the last: {failure}",
                    silence.as_secs_f64()
                ));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

struct OpenCalls(Arc<LoadRun>);

impl OpenCalls {
    /// Since the first counted call; `None` in the warm-up.
    fn counted_at(&self, call: DueCall) -> Option<Duration> {
        call.at.checked_sub(self.0.plan.warm_up)
    }
}

impl Calls for OpenCalls {
    fn make(&self, call: DueCall) -> impl Future<Output = ()> + Send + 'static {
        let (run, at) = (self.0.clone(), self.counted_at(call));
        if let Some(at) = at {
            run.recorder.offered(at);
        }
        async move { run.make(call.due, at).await }
    }

    fn dropped(&self, call: DueCall) {
        if let Some(at) = self.counted_at(call) {
            self.0.recorder.dropped(at);
        }
    }
}

#[cfg(test)]
mod tests;
