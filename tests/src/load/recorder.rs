//! The figures while they grow, shared by all calls; and whether the target still answers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tonic::Status;

use super::figures::{EndedCall, LoadFigures};
use crate::client::watch::WatchError;
use crate::open_loop::answer::{CallOutcome, OrderAvailability};

/// Examples of failed watches.
const SAMPLES: usize = 3;

#[derive(Debug)]
pub(super) struct Recorder {
    // Held for some hundred nanoseconds and never across an await.
    state: Mutex<RecorderState>,
}

#[derive(Debug)]
struct RecorderState {
    figures: LoadFigures,
    /// The last answer of the service, accepted or refused.
    heard: Instant,
    /// The text of a failure since then.
    silence: Option<String>,
}

impl Recorder {
    /// For a run of this length.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            state: Mutex::new(RecorderState {
                figures: LoadFigures::new(length),
                heard: Instant::now(),
                silence: None,
            }),
        }
    }

    pub(super) fn offered(&self, at: Duration) {
        self.lock().figures.offered(at);
    }

    pub(super) fn withdrawn(&self, at: Duration) {
        self.lock().figures.withdrawn(at);
    }

    pub(super) fn dropped(&self, at: Duration) {
        let mut state = self.lock();
        state.figures.offered(at);
        state.figures.dropped(at);
    }

    /// A counted call has ended.
    pub(super) fn ended(&self, call: &EndedCall, answer: Result<OrderAvailability, Status>) {
        let failure = answer
            .as_ref()
            .err()
            .map(|status| status.message().to_owned());
        let mut state = self.lock();
        let outcome = state.figures.ended(call, answer);
        state.hear(&outcome, failure);
    }

    /// A call of the warm-up has ended.
    pub(super) fn warmed(&self, answer: &Result<OrderAvailability, Status>) {
        let failure = answer
            .as_ref()
            .err()
            .map(|status| status.message().to_owned());
        self.lock().hear(&CallOutcome::of(answer), failure);
    }

    /// A watched order is final, after this time; or the watch ended otherwise.
    pub(super) fn order_ended(&self, time: Duration, end: Result<String, &WatchError>) {
        let outcomes = &mut self.lock().figures.order_outcomes;
        match end {
            Ok(status) => {
                outcomes.times.record(time);
                *outcomes.by_status.entry(status).or_default() += 1;
            }
            Err(WatchError::NotFinal { .. }) => outcomes.unfinished += 1,
            Err(error) => {
                outcomes.failed += 1;
                if outcomes.samples.len() < SAMPLES {
                    outcomes
                        .samples
                        .push(format!("{:#}", anyhow::Error::new(error.clone())));
                }
            }
        }
    }

    /// The run ended before this order was final.
    pub(super) fn order_unfinished(&self) {
        self.lock().figures.order_outcomes.unfinished += 1;
    }

    /// An order is not watched, because too many are.
    pub(super) fn order_unwatched(&self) {
        self.lock().figures.order_outcomes.unwatched += 1;
    }

    /// How long the service has not answered although calls were made, and the last failure.
    pub(super) fn silence(&self) -> Option<(Duration, String)> {
        let state = self.lock();
        let failure = state.silence.clone()?;
        Some((state.heard.elapsed(), failure))
    }

    /// The figures so far, for a run that has taken this long.
    pub(super) fn figures(&self, length: Duration) -> LoadFigures {
        LoadFigures {
            length,
            ..self.lock().figures.clone()
        }
    }

    /// Looks at the figures without a copy.
    pub(super) fn look<T>(&self, look: impl FnOnce(&LoadFigures) -> T) -> T {
        look(&self.lock().figures)
    }

    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        // A panic while recording fails its call's task; the figures stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecorderState {
    fn hear(&mut self, outcome: &CallOutcome, failure: Option<String>) {
        match outcome {
            CallOutcome::Accepted(_) | CallOutcome::Refused(_) => {
                self.heard = Instant::now();
                self.silence = None;
            }
            CallOutcome::Failed(cause) => {
                self.silence = failure.map(|text| format!("{cause}: {text}"));
            }
        }
    }
}
