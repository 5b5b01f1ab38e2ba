//! Live counts and latencies, updated by every caller and watcher.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::history::History;
use super::summary::{Counts, Latency, Problems, Summary};
use crate::client::failure::CallFailure;
use crate::client::vocabulary::{rejection_name, status_name};
use crate::client::watch::WatchError;
use crate::orders::request::Inexpressible;

/// Maximum of the latency histograms in microseconds: one hour.
const LONGEST: u64 = 3_600_000_000;

/// Counts and latencies, shared by all callers.
#[derive(Debug)]
pub struct Tally {
    // Held for nanoseconds and never across an await.
    state: Mutex<TallyState>,
}

/// An unanswered order.
#[derive(Debug)]
pub struct Unanswered {
    pub invoice: String,
    /// The error of the last attempt.
    pub failure: CallFailure,
}

/// Why an accepted order was not followed to its final state.
#[derive(Debug, thiserror::Error)]
pub enum OrderEnd {
    /// The watch failed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The replay was stopped first.
    #[error("the replay was stopped before it was final")]
    Stopped,
}

#[derive(Debug)]
struct TallyState {
    counts: Counts,
    confirm: Histogram<u64>,
    outcome: Histogram<u64>,
    first_send: Option<Instant>,
    last_confirmation: Option<Instant>,
    last_outcome: Option<Instant>,
    newest_final: Option<Instant>,
    example: Option<History>,
    problems: Problems,
}

impl Tally {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            state: Mutex::new(TallyState {
                counts: Counts::default(),
                confirm: Histogram::new_with_max(LONGEST, 3)?,
                outcome: Histogram::new_with_max(LONGEST, 3)?,
                first_send: None,
                last_confirmation: None,
                last_outcome: None,
                newest_final: None,
                example: None,
                problems: Problems::default(),
            }),
        })
    }

    /// The current counts.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    /// An order is started.
    pub fn submitted(&self, sent: Instant) {
        let mut state = self.state();
        state.counts.submitted += 1;
        state.first_send = Some(state.first_send.map_or(sent, |first| first.min(sent)));
    }

    /// An order is confirmed.
    pub fn accepted(&self, after: Duration) {
        let mut state = self.state();
        state.counts.accepted += 1;
        state.last_confirmation = Some(Instant::now());
        record(&mut state.confirm, after);
    }

    /// An order cannot be represented.
    pub fn refused_by_client(&self, refusal: &Inexpressible) {
        let fields = refusal.violations.iter();
        let fields = fields.map(|violation| (violation.field.as_str(), violation.reason));
        let reasons = distinct(fields.map(|(field, reason)| format!("{reason} {}", any(field))));
        self.refused(format!("client: {reasons}"));
    }

    /// The service refuses an order.
    pub fn refused_by_server(&self, failure: &CallFailure) {
        let reason = failure.reason.as_deref().unwrap_or(&failure.message);
        let fields = distinct(failure.violations.iter().map(|fault| any(&fault.field)));
        self.refused(format!("server: {reason} {fields}").trim_end().to_owned());
    }

    fn refused(&self, reason: String) {
        *self.state().counts.refused.entry(reason).or_default() += 1;
    }

    /// No answer after all retries.
    pub fn unanswered(&self, order: &Unanswered) {
        let mut state = self.state();
        state.counts.unanswered += 1;
        state.problems.add(format!(
            "invoice {} got no answer: {}",
            order.invoice, order.failure
        ));
    }

    /// Records the answer to a cancellation. "Too late" is a valid answer.
    pub fn cancel_answered(&self, order_id: &str, answer: &Result<(), CallFailure>) {
        let mut state = self.state();
        state.counts.cancellations += 1;
        if let Err(failure) = answer
            && failure.reason.as_deref() != Some("ORDER_IS_FINAL")
        {
            let sentence = format!("order {order_id} could not be cancelled: {failure}");
            state.problems.add(sentence);
        }
    }

    /// Records a final order: when it was sent, and when its last event was seen.
    pub fn ended(&self, sent: Instant, last_seen: Instant, history: History) {
        let mut state = self.state();
        state.last_outcome = Some(Instant::now());
        state.newest_final = state.newest_final.max(Some(sent));
        record(
            &mut state.outcome,
            last_seen.saturating_duration_since(sent),
        );
        match status_name(history.status()) {
            "FULFILLED" => state.counts.fulfilled += 1,
            "CANCELLED" => state.counts.cancelled += 1,
            _ => {
                let last = history.entries.last();
                let reason = rejection_name(last.map_or(0, |entry| entry.rejection_reason));
                let rejected = &mut state.counts.rejected;
                *rejected.entry(reason.to_owned()).or_default() += 1;
            }
        }
        state.keep_example(history);
    }

    /// The latest send time of all final orders.
    pub fn newest_final(&self) -> Option<Instant> {
        self.state().newest_final
    }

    /// Records an accepted order that was not followed to its final state.
    pub fn not_ended(&self, history: &History, ending: &OrderEnd) {
        let order_id = &history.order_id;
        let invoice = &history.invoice;
        let sentence = match ending {
            OrderEnd::Watch(WatchError::Refused(failure)) => {
                format!("order {order_id} (invoice {invoice}): {ending}: {failure}")
            }
            _ => format!("order {order_id} (invoice {invoice}): {ending}"),
        };
        self.state().problems.add(sentence);
    }

    /// The result so far.
    pub fn summary(&self) -> Summary {
        let state = self.state();
        let counts = state.counts.clone();
        let accepted = counts.accepted;
        let ended = counts.ended();
        Summary {
            confirm: latency(&state.confirm),
            outcome: latency(&state.outcome),
            confirmations_per_second: state.rate(accepted, state.last_confirmation),
            orders_per_second: state.rate(ended, state.last_outcome),
            example: state.example.clone(),
            problems: state.problems.clone(),
            counts,
        }
    }

    fn state(&self) -> MutexGuard<'_, TallyState> {
        // Every change is complete before anything can panic, so a poisoned lock is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TallyState {
    fn rate(&self, events: u64, until: Option<Instant>) -> f64 {
        let span = self.first_send.zip(until);
        span.map_or(0.0, |(first, last)| {
            let seconds = last.saturating_duration_since(first).as_secs_f64();
            events as f64 / seconds.max(1e-6)
        })
    }

    /// Keeps the first history until there is one of a fulfilled order.
    fn keep_example(&mut self, history: History) {
        let is_fulfilled = |history: &History| status_name(history.status()) == "FULFILLED";
        if !self.example.as_ref().is_some_and(is_fulfilled)
            && (self.example.is_none() || is_fulfilled(&history))
        {
            self.example = Some(history);
        }
    }
}

fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
    histogram.saturating_record(micros.max(1));
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let millis = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Latency {
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
    }
}

/// `lines[7].quantity` as `lines[].quantity`: reasons are counted without positions.
fn any(field: &str) -> String {
    let mut inside = false;
    let without_positions = field.chars().filter(|letter| {
        let was_inside = inside;
        inside = *letter == '[' || (inside && *letter != ']');
        !was_inside || *letter == ']'
    });
    without_positions.collect()
}

fn distinct(fields: impl Iterator<Item = String>) -> String {
    let fields: BTreeSet<String> = fields.collect();
    fields.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
