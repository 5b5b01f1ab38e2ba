//! An open-loop load generator: a call is sent when it is due, whether or not earlier ones are answered.
//!
//! ```text
//! schedule ─▶ a thread, every tick: all that is due ─┬─ a place is free ─▶ a task: the call, to its deadline ─▶ record
//!             (asleep in between)                    └─ none is ─────────▶ dropped, and counted
//! ```
//!
//! * Latency counts from the time when the call was **due**. A client that waits for a slow server before it sends
//!   again calls least often when answers take longest, so its percentiles hide the stall (coordinated omission). The
//!   latency from the actual send, without that correction, is kept beside it.
//! * Calls in flight are bounded, because a stalled server would fill the client's memory. Calls due beyond the bound
//!   are dropped and reported: such a run has offered less than requested.
//! * The generator measures itself: how late its sends were. When it could not keep up, the figures describe the
//!   generator rather than the server, and the report says so.
//! * It shares the machine with the server: one thread that sleeps between ticks, one task per call, one lock that is
//!   held for nanoseconds; no timer per send.
//!
//! No retries: a retry would be another call, and the load would depend on the answers.
//!
//! Reading order: [`schedule`] (when calls are due), [`answer`] (classification of answers), [`measured`] (the
//! figures), [`lean`] (a client with little CPU use).

pub mod answer;
pub mod lean;
mod load;
pub mod measured;
pub mod schedule;

mod recorder;

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use self::answer::OrderAvailability;
pub use self::load::{Arrivals, Load};
use self::measured::Measured;
use self::recorder::{Recorder, Times};
use self::schedule::{TICK, due_times};

/// Offers a load and returns when its last call has ended. `call` makes call number N, from 0, and must have a deadline
/// of its own, for instance [`answer::within`].
///
/// # Errors
/// When a call panicked, so that it is missing in the figures.
pub async fn run<C, A>(load: Load, call: C) -> Result<Measured>
where
    C: Fn(u64) -> A + Send + 'static,
    A: Future<Output = Result<OrderAvailability, Status>> + Send + 'static,
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

/// Sends due calls from its own thread, so that processing answers does not delay sends while a core is free.
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
    A: Future<Output = Result<OrderAvailability, Status>> + Send + 'static,
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
            // Measured inside the task: time that the task waited for its turn counts as late sending.
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

/// `thread::sleep` is late by tens of microseconds; the runtime's timers by a millisecond.
fn sleep_until(due: Instant) {
    let ahead = due.saturating_duration_since(Instant::now());
    if !ahead.is_zero() {
        thread::sleep(ahead);
    }
}

#[cfg(test)]
mod tests;
