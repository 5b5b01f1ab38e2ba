//! The circuit breaker: stops calling a dependency that fails or is slow, and finds out when it is well again.
//!
//! ```text
//!            too many failures or slow calls            open long enough
//!   CLOSED ──────────────────────────────────▶ OPEN ─────────────────────▶ HALF OPEN
//!      ▲                                        ▲                           │     │
//!      │                                        └───────────────────────────┘     │
//!      │                                         a probe fails: longer            │
//!      └──────────────────────────────────────────────────────────────────────────┘
//!                                    all probes succeed
//! ```
//!
//! The rules are one `match (state, event)` without clock, lock or log ([`circuit`]); here is the lock around it. Guarantees:
//! half open there are never more probes than allowed, a probe that its caller gave up makes room for another, and each
//! transition is announced once. A call that began before a transition says nothing about the time after it.

#[cfg(not(test))]
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

// Here the unit tests decide which thread comes next. Outside of such a test this mutex cannot be locked, so that what
// makes calls through a breaker is tested from `tests/`.
#[cfg(test)]
use shuttle::sync::Mutex;
use tokio::time::Instant;

use service::backoff::Backoff;

mod circuit;
mod window;

pub(super) use circuit::Kind;
use circuit::{Circuit, End, Event, Reply};

/// When a breaker opens, and how it closes.
#[derive(Clone, Copy, Debug)]
pub struct BreakerRules {
    /// Fewer calls than this within the last ten seconds decide nothing.
    pub least_calls: u32,
    /// Opens when this share of them has failed.
    pub failure_share: f64,
    /// A call that takes this long is slow.
    pub slow_call: Duration,
    /// Opens when this share of them was slow.
    pub slow_share: f64,
    /// How long it stays open, each time in a row; without jitter, because few probes follow.
    pub open_for: Backoff,
    /// So many calls try out, at once, whether the dependency is well again; all of them must succeed.
    pub probes: u32,
}

impl BreakerRules {
    /// For a dependency whose calls are slow from here on.
    ///
    /// Half of the calls must fail, so that one bad replica of three does not close the way to the others; twenty calls
    /// are few at any real load and too many for a coincidence. One second is about the time that a restart takes on;
    /// five seconds are as long as one may wait for a dependency that is back, and three probes in that time no burden
    /// for one that is not.
    pub fn with_slow_call(slow_call: Duration) -> Self {
        Self {
            least_calls: 20,
            failure_share: 0.5,
            slow_call,
            slow_share: 0.8,
            open_for: Backoff {
                initial: Duration::from_secs(1),
                cap: Duration::from_secs(5),
            },
            probes: 3,
        }
    }
}

/// A breaker for one dependency.
#[derive(Debug)]
pub(super) struct Breaker {
    dependency: &'static str,
    rules: BreakerRules,
    guarded: Mutex<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    circuit: Circuit,
    /// Grows with each transition, so that a permit knows whether its time is over.
    era: u64,
    counts: Counts,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Transitions to this state, in the order of [`Kind::ALL`].
    pub(super) transitions: [u64; 3],
    /// Calls that were refused.
    pub(super) refused: u64,
}

impl Breaker {
    pub(super) fn new(dependency: &'static str, rules: BreakerRules) -> Self {
        let guarded = Guarded {
            circuit: Circuit::closed(Instant::now()),
            era: 0,
            counts: Counts::default(),
        };
        Self {
            dependency,
            rules,
            guarded: Mutex::new(guarded),
        }
    }

    /// Asks for a call: `None` means that it must not be made.
    pub(super) fn ask(self: &Arc<Self>) -> Option<Permit> {
        self.ask_at(Instant::now())
    }

    /// The state now, and what has happened so far.
    pub(super) fn look(&self) -> (Kind, Counts) {
        let guarded = self.lock();
        (guarded.circuit.kind(), guarded.counts)
    }

    fn ask_at(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        let (reply, era) = self.step(Event::Asked, None, now);
        (reply != Reply::Refused).then(|| Permit {
            breaker: Arc::clone(self),
            era,
            begun: now,
            is_used: false,
        })
    }

    /// Lets the event happen, unless it belongs to an era that is over.
    fn step(&self, event: Event, era: Option<u64>, now: Instant) -> (Reply, u64) {
        let mut guarded = self.lock();
        if era.is_some_and(|era| era != guarded.era) {
            return (Reply::Noted, guarded.era);
        }
        let before = guarded.circuit.kind();
        let reply = guarded.circuit.step(event, now, &self.rules);
        let after = guarded.circuit.kind();
        if reply == Reply::Refused {
            guarded.counts.refused += 1;
        }
        if before != after {
            guarded.era += 1;
            guarded.counts.transitions[after as usize] += 1;
        }
        let era = guarded.era;
        drop(guarded);
        if before != after {
            self.announce(after);
        }
        (reply, era)
    }

    fn announce(&self, state: Kind) {
        let dependency = self.dependency;
        match state {
            Kind::Open => tracing::warn!(dependency, "circuit breaker opened"),
            Kind::HalfOpen => tracing::info!(dependency, "circuit breaker half open"),
            Kind::Closed => tracing::info!(dependency, "circuit breaker closed"),
        }
    }

    #[cfg(not(test))]
    fn lock(&self) -> std::sync::MutexGuard<'_, Guarded> {
        // No code under the lock panics half way.
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn lock(&self) -> shuttle::sync::MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call. Dropped without [`Permit::end`] it means that the caller gave up.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    era: u64,
    begun: Instant,
    is_used: bool,
}

impl Permit {
    /// The call has ended.
    pub(super) fn end(self, has_failed: bool) {
        self.end_at(has_failed, Instant::now());
    }

    fn end_at(mut self, has_failed: bool, now: Instant) {
        self.is_used = true;
        let is_slow = self.is_slow(now);
        let end = End {
            has_failed,
            is_slow,
        };
        self.breaker.step(Event::Ended(end), Some(self.era), now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= self.breaker.rules.slow_call
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        let now = Instant::now();
        // A caller that gives up a slow call has seen what everyone sees; one that gives up early has seen nothing.
        let event = if self.is_slow(now) {
            Event::Ended(End {
                has_failed: false,
                is_slow: true,
            })
        } else {
            Event::GivenUp
        };
        self.breaker.step(event, Some(self.era), now);
    }
}

#[cfg(test)]
mod tests;
