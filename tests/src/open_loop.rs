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
//! Reading order: [`pacer`] (sends what is due), [`schedule`] and [`rate_curve`] (when calls are due), [`answer`]
//! (classification of answers), [`outcomes`] and [`measured`] (the figures), [`sustainable`] (the greatest rate that a
//! service sustains), [`lean`] (a client with little CPU use).

pub mod pacer;

pub mod answer;
pub mod lean;
mod load;
pub mod measured;
pub mod outcomes;
pub mod rate_curve;
pub mod schedule;
pub mod sustainable;

mod recorder;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::answer::OrderAvailability;
pub use self::load::{Arrivals, Load};
use self::measured::Measured;
use self::outcomes::Times;
use self::pacer::{Calls, DueCall};
use self::recorder::Recorder;
use self::schedule::due_times;

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
    let calls = RecordedCalls {
        call,
        recorder: recorder.clone(),
        load,
    };
    let stop = CancellationToken::new();
    // If the caller dropped the run, no further call is sent.
    let _stop_if_dropped = stop.clone().drop_guard();
    let due_times = due_times(load.curve(), load.arrivals);
    pacer::run(due_times, load.outstanding, stop, calls).await?;
    let measured = recorder.measured();
    ensure!(measured.is_whole(), "a call ended without an outcome");
    Ok(measured)
}

/// Calls whose warm-up is not recorded.
struct RecordedCalls<C> {
    call: C,
    recorder: Arc<Recorder>,
    load: Load,
}

impl<C, A> Calls for RecordedCalls<C>
where
    C: Fn(u64) -> A + Send + 'static,
    A: Future<Output = Result<OrderAvailability, Status>> + Send + 'static,
{
    fn make(
        &self,
        DueCall { number, due, at }: DueCall,
    ) -> impl Future<Output = ()> + Send + 'static {
        let is_counted = at >= self.load.warm_up;
        if is_counted {
            self.recorder.offered();
        }
        let call = (self.call)(number);
        let recorder = self.recorder.clone();
        async move {
            // Measured inside the task: time that the task waited for its turn counts as late sending.
            let sent = Instant::now();
            let answer = call.await;
            let answered = Instant::now();
            if is_counted {
                let times = Times {
                    due,
                    sent,
                    answered,
                };
                recorder.ended(times, answer);
            }
        }
    }

    fn dropped(&self, call: DueCall) {
        if call.at >= self.load.warm_up {
            self.recorder.offered();
            self.recorder.dropped();
        }
    }
}

#[cfg(test)]
mod tests;
