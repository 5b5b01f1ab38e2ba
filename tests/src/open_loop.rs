//! An open-loop load generator: a call is sent when it is due, whether or not earlier ones are answered.
//!
//! ```text
//! schedule ─▶ a thread, every tick: all that is due ─┬─ a place is free ─▶ a task: the call, to its deadline ─▶ record
//!             (asleep in between)                    └─ none is ─────────▶ dropped, and counted
//! ```
//!
//! * Latency counts from the time when the call was **due**. A client that waits for a slow server before it sends again
//!   asks least often just when the answers take longest, and its percentiles say so little of the stall that it hides
//!   (coordinated omission). The latency from the real send, without that correction, is kept beside it.
//! * Calls that are open are bounded, or a server that stands still would fill the client's memory. What is due beyond the
//!   bound is not sent, and said: such a run has offered less than it was asked to.
//! * The generator measures itself: how late its sends were. When it could not keep up, the figures say more of it than of
//!   the server, and the report says that.
//! * It shares the machine with what it measures: one thread that sleeps between ticks, one task per call, one lock that is
//!   held for nanoseconds; no timer wakes for a single send.
//!
//! It does not try again: a retry would be another call, and the load would depend on the answers.
//!
//! Reading order: [`schedule`] (what is due when), [`answer`] (what an answer counts as), [`measured`] (what is kept of it),
//! [`lean`] (a client that leaves the cores to the server).

pub mod answer;
pub mod lean;
pub mod measured;
pub mod schedule;

mod recorder;

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use self::answer::Availability;
use self::measured::Measured;
use self::recorder::{Recorder, Times};
use self::schedule::{Arrivals, TICK, due_times};

/// What to offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// How the calls are spread over time.
    pub arrivals: Arrivals,
    /// Calls per second.
    pub per_second: f64,
    /// Calls that are due in this time are sent and not counted: connections are opened, caches are filled.
    pub warm_up: Duration,
    /// How long after that calls are due and counted.
    pub length: Duration,
    /// Most calls that are open at once.
    pub outstanding: usize,
}

/// Offers a load and returns when its last call has ended. `call` makes the call of a number, counted from 0; it has a
/// deadline of its own, for instance by [`answer::within`].
///
/// # Errors
/// When a call panicked, so that it is missing in the figures.
pub async fn run<C, A>(load: Load, call: C) -> Result<Measured>
where
    C: Fn(u64) -> A + Send + 'static,
    A: Future<Output = Result<Availability, Status>> + Send + 'static,
{
    let recorder = Arc::new(Recorder::new(load));
    let (calls, stop) = (TaskTracker::new(), CancellationToken::new());
    let generator = Generator {
        call,
        load,
        places: Arc::new(Semaphore::new(load.outstanding)),
        recorder: recorder.clone(),
        calls: calls.clone(),
        runtime: Handle::current(),
        stop: stop.clone(),
    };
    // If the caller dropped the run, no further call is sent.
    let _stop_if_dropped = stop.drop_guard();
    tokio::task::spawn_blocking(move || generator.send_all()).await?;
    calls.close();
    calls.wait().await;
    let measured = recorder.measured();
    ensure!(measured.is_whole(), "a call ended without an outcome");
    Ok(measured)
}

/// Sends what is due. It has a thread of its own, so that the answers do not make it late as long as a core is free.
struct Generator<C> {
    call: C,
    load: Load,
    places: Arc<Semaphore>,
    recorder: Arc<Recorder>,
    calls: TaskTracker,
    runtime: Handle,
    stop: CancellationToken,
}

impl<C, A> Generator<C>
where
    C: Fn(u64) -> A,
    A: Future<Output = Result<Availability, Status>> + Send + 'static,
{
    fn send_all(self) {
        let start = Instant::now() + TICK;
        for (number, due) in (0..).zip(due_times(&self.load)) {
            sleep_until(start + due);
            if self.stop.is_cancelled() {
                return;
            }
            self.send(number, start + due, due >= self.load.warm_up);
        }
    }

    fn send(&self, number: u64, due: Instant, is_counted: bool) {
        if is_counted {
            self.recorder.offered();
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            if is_counted {
                self.recorder.dropped();
            }
            return;
        };
        let call = (self.call)(number);
        let recorder = self.recorder.clone();
        let whole = async move {
            // Here and not above: a task that waited for its turn was sent as late as that.
            let sent = Instant::now();
            let answer = call.await;
            let answered = Instant::now();
            drop(place);
            if is_counted {
                let times = Times {
                    due,
                    sent,
                    answered,
                };
                recorder.ended(times, answer);
            }
        };
        self.calls.spawn_on(whole, &self.runtime);
    }
}

/// The thread's own sleep is late by tens of microseconds; the runtime's timers would be by a millisecond.
fn sleep_until(due: Instant) {
    let ahead = due.saturating_duration_since(Instant::now());
    if !ahead.is_zero() {
        thread::sleep(ahead);
    }
}

#[cfg(test)]
mod tests;
