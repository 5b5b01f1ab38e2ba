//! Circuit breaker: rejects calls to a dependency that fails or is slow, and probes for its recovery.
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
//! The state machine is one `match (state, event)` without clock, lock or log ([`circuit`]); this file adds the lock.
//! Guarantees: half open there are never more probes than allowed, an abandoned probe frees its slot, and each
//! transition is logged once. A call that began before a transition does not count after it.
//!
//! Own code (ADR 10): tower-resilience counts calls that began before a transition, closes after slow probes, and does
//! not count abandoned slow calls; recloser has no threshold for slow calls.

use std::sync::{Arc, PoisonError};
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};

// Unit tests let shuttle schedule the threads. Outside of shuttle this mutex cannot be locked, so calls through a
// breaker are tested from `tests/`.
#[cfg(test)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

mod circuit;
mod rules;
mod window;

pub(super) use circuit::CircuitState;
use circuit::{Circuit, CircuitEvent, CircuitReply};
pub use rules::BreakerRules;
use window::CallOutcome;

#[derive(Debug)]
pub(super) struct CircuitBreaker {
    dependency: &'static str,
    rules: BreakerRules,
    state: Mutex<BreakerState>,
}

#[derive(Debug)]
struct BreakerState {
    circuit: Circuit,
    /// Incremented by each transition, so that outcomes of older permits are ignored.
    generation: u64,
    counts: BreakerCounts,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BreakerCounts {
    /// Indexed like [`CircuitState::ALL`].
    pub(super) transitions: [u64; 3],
    /// Rejected calls.
    pub(super) rejected: u64,
}

impl CircuitBreaker {
    pub(super) fn new(dependency: &'static str, rules: BreakerRules) -> Self {
        let state = BreakerState {
            circuit: Circuit::closed(Instant::now()),
            generation: 0,
            counts: BreakerCounts::default(),
        };
        Self {
            dependency,
            rules,
            state: Mutex::new(state),
        }
    }

    /// A permit for one call; `None` rejects the call.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<CallPermit> {
        self.try_acquire_at(Instant::now())
    }

    pub(super) fn snapshot(&self) -> (CircuitState, BreakerCounts) {
        let state = self.lock();
        (state.circuit.state(), state.counts)
    }

    fn try_acquire_at(self: &Arc<Self>, now: Instant) -> Option<CallPermit> {
        let (reply, generation) = self.step(CircuitEvent::Requested, None, now);
        (reply != CircuitReply::Rejected).then(|| CallPermit {
            breaker: Arc::clone(self),
            generation,
            begun: now,
            is_used: false,
        })
    }

    /// Applies the event, unless it belongs to an earlier generation.
    fn step(
        &self,
        event: CircuitEvent,
        generation: Option<u64>,
        now: Instant,
    ) -> (CircuitReply, u64) {
        let mut state = self.lock();
        if generation.is_some_and(|generation| generation != state.generation) {
            return (CircuitReply::Recorded, state.generation);
        }
        let before = state.circuit.state();
        let reply = state.circuit.step(event, now, &self.rules);
        let after = state.circuit.state();
        if reply == CircuitReply::Rejected {
            state.counts.rejected += 1;
        }
        if before != after {
            state.generation += 1;
            state.counts.transitions[after as usize] += 1;
        }
        let generation = state.generation;
        drop(state);
        if before != after {
            self.log_transition(after);
        }
        (reply, generation)
    }

    fn log_transition(&self, state: CircuitState) {
        let dependency = self.dependency;
        match state {
            CircuitState::Open => tracing::warn!(dependency, "circuit breaker opened"),
            CircuitState::HalfOpen => tracing::info!(dependency, "circuit breaker half open"),
            CircuitState::Closed => tracing::info!(dependency, "circuit breaker closed"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BreakerState> {
        // No code under the lock panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one call. Dropping it without [`CallPermit::end`] means that the caller abandoned the call.
#[derive(Debug)]
pub(super) struct CallPermit {
    breaker: Arc<CircuitBreaker>,
    generation: u64,
    begun: Instant,
    is_used: bool,
}

impl CallPermit {
    pub(super) fn end(self, has_failed: bool) {
        self.end_at(has_failed, Instant::now());
    }

    fn end_at(mut self, has_failed: bool, now: Instant) {
        self.is_used = true;
        let is_slow = self.is_slow(now);
        let end = CallOutcome {
            has_failed,
            is_slow,
        };
        self.breaker
            .step(CircuitEvent::Ended(end), Some(self.generation), now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= self.breaker.rules.slow_call
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        let now = Instant::now();
        // An abandoned slow call counts as slow; one that was abandoned early says nothing.
        let event = if self.is_slow(now) {
            CircuitEvent::Ended(CallOutcome {
                has_failed: false,
                is_slow: true,
            })
        } else {
            CircuitEvent::Abandoned
        };
        self.breaker.step(event, Some(self.generation), now);
    }
}

#[cfg(test)]
mod tests;
