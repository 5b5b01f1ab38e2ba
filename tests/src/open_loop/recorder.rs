//! Collects the results of all calls of a load.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::answer::OrderAvailability;
use super::load::Load;
use super::measured::Measured;
use super::outcomes::Times;

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
        let mut measured = self.lock();
        measured.lag.record(times.sent - times.due);
        measured.outcomes.record(times, answer);
    }

    pub(super) fn measured(&self) -> Measured {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Measured> {
        // Incomplete figures after a panic are detected by `Measured::is_whole`.
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
