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
    /// `None` after an answer of the service, accepted or refused, until a call fails.
    silence: Option<Silence>,
}

/// Failed calls without an answer between them.
#[derive(Debug)]
struct Silence {
    first: Instant,
    last: Instant,
    /// The text of the last one.
    failure: String,
}

impl Recorder {
    /// For a run of this length.
    pub(super) fn new(length: Duration) -> Self {
        Self {
            state: Mutex::new(RecorderState {
                figures: LoadFigures::new(length),
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
    ///
    /// From the first failed call to the last: before and after them nobody may have called.
    pub(super) fn silence(&self) -> Option<(Duration, String)> {
        let state = self.lock();
        let silence = state.silence.as_ref()?;
        Some((silence.last - silence.first, silence.failure.clone()))
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
            CallOutcome::Accepted(_) | CallOutcome::Refused(_) => self.silence = None,
            CallOutcome::Failed(cause) => {
                let last = Instant::now();
                let first = self.silence.as_ref().map_or(last, |silence| silence.first);
                self.silence = failure.map(|text| Silence {
                    first,
                    last,
                    failure: format!("{cause}: {text}"),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(20);

    fn fail(recorder: &Recorder) {
        recorder.warmed(&Err(Status::unavailable("broken pipe")));
    }

    #[test]
    fn a_single_failed_call_is_no_silence_however_long_no_call_is_made_around_it() {
        let recorder = Recorder::new(Duration::from_secs(10));
        recorder.warmed(&Ok(OrderAvailability::Confirmed));

        sleep(PAUSE);
        fail(&recorder);
        sleep(PAUSE);

        let (silence, failure) = recorder.silence().unwrap();
        assert_eq!(silence, Duration::ZERO);
        assert!(failure.ends_with("broken pipe"), "{failure}");
    }

    #[test]
    fn a_silence_lasts_from_the_first_failed_call_to_the_last_and_ends_with_an_answer() {
        let recorder = Recorder::new(Duration::from_secs(10));

        fail(&recorder);
        sleep(PAUSE);
        fail(&recorder);
        let silence = recorder.silence().map(|(silence, _)| silence);
        recorder.warmed(&Ok(OrderAvailability::Confirmed));

        assert!(silence >= Some(PAUSE), "{silence:?}");
        assert_eq!(recorder.silence(), None);
    }
}
