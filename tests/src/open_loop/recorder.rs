//! Where every call of a load reports to.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::Status;

use super::Load;
use super::answer::{Availability, Outcome};
use super::measured::Measured;
use crate::client::failure::Failure;

/// When a call was due, when it was really sent, and when its answer was there.
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

    /// A call is due.
    pub(super) fn offered(&self) {
        self.lock().offered += 1;
    }

    /// It is not sent, because too many are open.
    pub(super) fn dropped(&self) {
        self.lock().dropped += 1;
    }

    /// It has ended.
    pub(super) fn ended(&self, times: Times, answer: Result<Availability, Status>) {
        let outcome = Outcome::of(&answer);
        let mut measured = self.lock();
        measured.lag.record(times.sent - times.due);
        let latencies = match &outcome {
            Outcome::Accepted(availability) => measured.accepted.entry(*availability).or_default(),
            Outcome::Refused(cause) => measured.refused.entry(cause.clone()).or_default(),
            Outcome::Failed(cause) => measured.failed.entry(cause.clone()).or_default(),
        };
        latencies.corrected.record(times.answered - times.due);
        latencies.uncorrected.record(times.answered - times.sent);
        if let Err(status) = answer
            && latencies.is_first()
        {
            let sample = Failure::from(status).to_string();
            measured.samples.push(sample);
        }
    }

    pub(super) fn measured(&self) -> Measured {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        // Figures that a panic left unfinished are found by `Measured::is_whole`.
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
