//! Collects the results of all calls of a load.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::Status;

use super::answer::{CallOutcome, OrderAvailability};
use super::load::Load;
use super::measured::Measured;
use crate::client::failure::CallFailure;

/// When a call was due, when it was sent, and when it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) due: Instant,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

/// Counts and latencies, shared by all calls.
#[derive(Debug)]
pub(super) struct Recorder {
    // Held for some hundred nanoseconds and never across an await.
    measured: Mutex<Measured>,
}

impl Recorder {
    pub(super) fn new(load: Load) -> Self {
        Self {
            measured: Mutex::new(Measured::of(load)),
        }
    }

    pub(super) fn offered(&self) {
        self.lock().offered += 1;
    }

    /// A due call was not sent, because too many are in flight.
    pub(super) fn dropped(&self) {
        self.lock().dropped += 1;
    }

    /// A call has ended.
    pub(super) fn ended(&self, times: Times, answer: Result<OrderAvailability, Status>) {
        let outcome = CallOutcome::of(&answer);
        let mut measured = self.lock();
        measured.lag.record(times.sent - times.due);
        let latencies = match &outcome {
            CallOutcome::Accepted(availability) => {
                measured.accepted.entry(*availability).or_default()
            }
            CallOutcome::Refused(cause) => measured.refused.entry(cause.clone()).or_default(),
            CallOutcome::Failed(cause) => measured.failed.entry(cause.clone()).or_default(),
        };
        latencies.corrected.record(times.answered - times.due);
        latencies.uncorrected.record(times.answered - times.sent);
        if let Err(status) = answer
            && latencies.is_first()
        {
            let sample = CallFailure::from(status).to_string();
            measured.samples.push(sample);
        }
    }

    pub(super) fn measured(&self) -> Measured {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        // Incomplete figures after a panic are detected by `Measured::is_whole`.
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
