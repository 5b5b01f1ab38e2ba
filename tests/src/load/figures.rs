//! The figures of a run, without its warm-up.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use tonic::Status;

use super::mix::Operation;
use super::trace::TraceContext;
use crate::open_loop::answer::{CallOutcome, OrderAvailability};
use crate::open_loop::outcomes::{Latencies, Outcomes, Spread, Times, millis};

/// Calls in the list of the slowest.
const SLOWEST: usize = 10;

/// Windows of a run at most: a longer run has longer windows, so that memory and report stay small.
const MOST_WINDOWS: u32 = 1_200;

/// It doubles whenever there would be more windows. The planned length of a run does not say how long one is right: a count
/// may end the run far earlier.
const FIRST_WINDOW_LENGTH: Duration = Duration::from_secs(1);

/// The tool kept up while 99 of 100 calls were begun this soon after they were due. On shared cores the scheduler may
/// delay it by some milliseconds.
const KEEPS_UP: Duration = Duration::from_millis(5);

/// Nor is it the limit while its lateness is less than this part of the latency that was measured.
const PART_OF_LATENCY: u32 = 10;

#[derive(Clone, Debug)]
pub(super) struct LoadFigures {
    /// Time of the counted calls.
    pub(super) length: Duration,
    /// Calls that were due.
    pub(super) offered: u64,
    /// Calls that were not sent, because too many waited.
    pub(super) dropped: u64,
    pub(super) operations: BTreeMap<Operation, Outcomes>,
    /// How late the tool itself began the calls.
    pub(super) lag: Spread,
    pub(super) window_length: Duration,
    pub(super) windows: Vec<LoadWindow>,
    pub(super) order_outcomes: OrderOutcomes,
    /// The slowest sampled calls, slowest first.
    pub(super) slowest: Vec<SlowCall>,
}

/// The calls that were due in one part of the run.
#[derive(Clone, Debug)]
pub(super) struct LoadWindow {
    pub(super) offered: u64,
    pub(super) accepted: u64,
    /// The request itself was at fault.
    pub(super) declined: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) dropped: u64,
    /// Confirmations from the due time, in microseconds.
    pub(super) confirm: Histogram<u64>,
}

/// What became of the watched orders.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderOutcomes {
    /// From the due time of the call to the final event.
    pub(super) times: Spread,
    /// Orders per final status, with the reason of a rejection.
    pub(super) by_status: BTreeMap<String, u64>,
    /// Not final when the run ended.
    pub(super) unfinished: u64,
    /// Not watched, because too many were.
    pub(super) unwatched: u64,
    /// Watches that failed, and the first errors.
    pub(super) failed: u64,
    pub(super) samples: Vec<String>,
}

/// A call whose trace was sampled.
#[derive(Clone, Debug)]
pub(super) struct SlowCall {
    pub(super) operation: Operation,
    pub(super) latency: Duration,
    pub(super) answer: String,
    pub(super) trace_id: String,
}

/// A call that has ended.
#[derive(Debug)]
pub(super) struct EndedCall {
    pub(super) operation: Operation,
    /// When it was due, from the first counted call on.
    pub(super) at: Duration,
    /// When the tool began it; it may have waited for its turn before it was sent.
    pub(super) begun: std::time::Instant,
    pub(super) times: Times,
    pub(super) trace: TraceContext,
}

impl LoadFigures {
    /// Empty figures of a run of this length.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            offered: 0,
            dropped: 0,
            operations: BTreeMap::new(),
            lag: Spread::default(),
            window_length: FIRST_WINDOW_LENGTH,
            windows: Vec::new(),
            order_outcomes: OrderOutcomes::default(),
            slowest: Vec::new(),
        }
    }

    pub(super) fn offered(&mut self, at: Duration) {
        self.offered += 1;
        self.window(at).offered += 1;
    }

    /// A call that was due is not made, because the run has ended.
    pub(super) fn withdrawn(&mut self, at: Duration) {
        self.offered = self.offered.saturating_sub(1);
        let window = self.window(at);
        window.offered = window.offered.saturating_sub(1);
    }

    pub(super) fn dropped(&mut self, at: Duration) {
        self.dropped += 1;
        self.window(at).dropped += 1;
    }

    pub(super) fn ended(
        &mut self,
        call: &EndedCall,
        answer: Result<OrderAvailability, Status>,
    ) -> CallOutcome {
        let latency = call.times.answered - call.times.due;
        self.lag.record(call.begun - call.times.due);
        let outcome = self
            .operations
            .entry(call.operation)
            .or_default()
            .record(call.times, answer);
        let window = self.window(call.at);
        match &outcome {
            CallOutcome::Accepted(_) => window.accepted += 1,
            CallOutcome::Refused(cause) if cause.is_about_the_request() => window.declined += 1,
            CallOutcome::Refused(_) => window.refused += 1,
            CallOutcome::Failed(_) => window.failed += 1,
        }
        if call.operation == Operation::Place && matches!(outcome, CallOutcome::Accepted(_)) {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            // Fails only when the histogram can grow no further: not with a latency within a deadline.
            let _ = window.confirm.record(micros.max(1));
        }
        if call.trace.is_sampled {
            self.keep_if_slow(call, latency, &outcome);
        }
        outcome
    }

    fn keep_if_slow(&mut self, call: &EndedCall, latency: Duration, outcome: &CallOutcome) {
        let place = self.slowest.partition_point(|slow| slow.latency >= latency);
        if place >= SLOWEST {
            return;
        }
        let answer = match outcome {
            CallOutcome::Accepted(_) => "OK".to_owned(),
            CallOutcome::Refused(cause) | CallOutcome::Failed(cause) => cause.to_string(),
        };
        let slow = SlowCall {
            operation: call.operation,
            latency,
            answer,
            trace_id: call.trace.trace_id(),
        };
        self.slowest.insert(place, slow);
        self.slowest.truncate(SLOWEST);
    }

    fn window(&mut self, at: Duration) -> &mut LoadWindow {
        while at >= self.window_length * MOST_WINDOWS {
            self.merge_windows();
        }
        let number = (at.as_secs_f64() / self.window_length.as_secs_f64()) as usize;
        if self.windows.len() <= number {
            self.windows.resize_with(number + 1, LoadWindow::new);
        }
        &mut self.windows[number]
    }

    /// Makes one window of every two.
    fn merge_windows(&mut self) {
        let mut windows = std::mem::take(&mut self.windows).into_iter();
        while let Some(mut window) = windows.next() {
            if let Some(next) = windows.next() {
                window.add(&next);
            }
            self.windows.push(window);
        }
        self.window_length *= 2;
    }

    /// The latencies of accepted calls.
    pub(super) fn latencies(&self, operation: Operation) -> Latencies {
        let outcomes = self.operations.get(&operation);
        outcomes.map(Outcomes::all_accepted).unwrap_or_default()
    }

    /// A count per second of the measured time.
    pub(super) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.length.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The share of offered calls that failed, were not sent, or were refused for another reason than the request itself.
    /// `None` when nothing was offered.
    pub(super) fn error_share(&self) -> Option<f64> {
        let refused = self
            .operations
            .values()
            .flat_map(|outcomes| &outcomes.refused);
        let refused = refused.filter(|(cause, _)| !cause.is_about_the_request());
        let failed = self
            .operations
            .values()
            .flat_map(|outcomes| &outcomes.failed);
        let errors: u64 = refused
            .chain(failed)
            .map(|(_, latencies)| latencies.count())
            .sum();
        (self.offered > 0).then(|| (errors + self.dropped) as f64 / self.offered as f64)
    }

    /// Why the figures describe the tool rather than the target, if they do.
    pub(super) fn invalid(&self) -> Option<String> {
        if self.operations.is_empty() {
            return Some("no call was counted".to_owned());
        }
        let confirm = self.latencies(Operation::Place).corrected;
        if confirm.count() == 0 {
            return Some("no order was accepted".to_owned());
        }
        let lag = self.lag.quantile(0.99);
        let is_limit = lag >= KEEPS_UP && lag > confirm.quantile(0.99) / PART_OF_LATENCY;
        is_limit.then(|| {
            let lag = millis(lag);
            format!("the tool itself was the limit: one call in a hundred was begun {lag:.1} ms late or more")
        })
    }
}

impl OrderOutcomes {
    /// Orders whose watch has ended, with an outcome or without.
    pub(super) fn watched(&self) -> u64 {
        self.times.count() + self.without_outcome()
    }

    pub(super) fn without_outcome(&self) -> u64 {
        self.unfinished + self.failed
    }

    /// The time to outcome that this share of the watched orders did not exceed, in milliseconds. An order without an
    /// outcome is slower than any other: `None` when there are too many of them, or nothing was watched.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let known = self.times.count() as f64;
        let rank = (quantile * self.watched() as f64).ceil().max(1.0);
        // The histogram rounds up to the next rank. Half a rank below, a rounding error cannot lead to the one after it.
        let share = (rank - 0.5) / known;
        (rank <= known).then(|| millis(self.times.quantile(share)))
    }
}

impl LoadWindow {
    #[expect(clippy::expect_used, reason = "the precision is a constant")]
    fn new() -> Self {
        Self {
            offered: 0,
            accepted: 0,
            declined: 0,
            refused: 0,
            failed: 0,
            dropped: 0,
            // Grows with the values: a window of fast answers is small.
            confirm: Histogram::new(2).expect("two digits are valid"),
        }
    }

    fn add(&mut self, next: &Self) {
        self.offered += next.offered;
        self.accepted += next.accepted;
        self.declined += next.declined;
        self.refused += next.refused;
        self.failed += next.failed;
        self.dropped += next.dropped;
        // As for `record`: fails only when the histogram can grow no further.
        let _ = self.confirm.add(&next.confirm);
    }

    /// Milliseconds; `None` without a confirmation.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.confirm.is_empty())
            .then(|| self.confirm.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

#[cfg(test)]
pub(super) mod tests;
