//! Sends calls when they are due, from a thread of its own, so that processing answers does not delay sends while a core
//! is free.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::schedule::TICK;

/// Longest sleep in one piece: a stop is noticed within it, however far away the next call is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A call whose time has come.
#[derive(Clone, Copy, Debug)]
pub struct DueCall {
    /// From 0.
    pub number: u64,
    pub due: Instant,
    /// The same, counted from the start of the schedule.
    pub at: Duration,
}

/// Makes calls and records what became of them.
pub trait Calls: Send + 'static {
    /// Makes a call, in a task of its own. It must have a deadline.
    fn make(&self, call: DueCall) -> impl Future<Output = ()> + Send + 'static;

    /// A call was not made, because too many are outstanding.
    fn dropped(&self, call: DueCall);
}

/// Makes a call at each of these times, counted from now, and returns when the last call has ended. After `stop` no
/// further call is made.
///
/// # Errors
/// When the sending thread panicked.
pub async fn run(
    due_times: impl Iterator<Item = Duration> + Send + 'static,
    outstanding: usize,
    stop: CancellationToken,
    calls: impl Calls,
) -> Result<()> {
    let tasks = TaskTracker::new();
    let pacer = Pacer {
        calls,
        places: Arc::new(Semaphore::new(outstanding)),
        tasks: tasks.clone(),
        runtime: Handle::current(),
        stop,
    };
    tokio::task::spawn_blocking(move || pacer.send_all(due_times)).await?;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

struct Pacer<C> {
    calls: C,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    runtime: Handle,
    stop: CancellationToken,
}

impl<C: Calls> Pacer<C> {
    fn send_all(self, due_times: impl Iterator<Item = Duration>) {
        let start = Instant::now() + TICK;
        for (number, at) in (0..).zip(due_times) {
            let due = start + at;
            self.sleep_until(due);
            if self.stop.is_cancelled() {
                return;
            }
            self.send(DueCall { number, due, at });
        }
    }

    /// `thread::sleep` is late by tens of microseconds; the runtime's timers by a millisecond.
    fn sleep_until(&self, due: Instant) {
        loop {
            let ahead = due.saturating_duration_since(Instant::now());
            if ahead.is_zero() || self.stop.is_cancelled() {
                return;
            }
            thread::sleep(ahead.min(LOOK_EVERY));
        }
    }

    fn send(&self, call: DueCall) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.calls.dropped(call);
            return;
        };
        let made = self.calls.make(call);
        let whole = async move {
            made.await;
            drop(place);
        };
        self.tasks.spawn_on(whole, &self.runtime);
    }
}
