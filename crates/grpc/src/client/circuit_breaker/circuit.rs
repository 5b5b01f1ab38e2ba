//! State machine of the circuit breaker. Pure: the caller passes the time.

use tokio::time::Instant;

use super::rules::BreakerRules;
use super::window::{CallOutcome, CallWindow};

/// Closed admits calls, open rejects them, half open admits a few probes.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per dependency, and most of the time it is closed"
)]
pub(super) enum Circuit {
    Closed(CallWindow),
    Open {
        until: Instant,
        /// How often it has opened since it was last closed.
        times: u32,
    },
    HalfOpen(Probes),
}

/// The probes of a half-open circuit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes {
    pub(super) in_flight: u32,
    pub(super) succeeded: u32,
    /// Carried over from the open state.
    times: u32,
}

/// The state without its data; the number is the value of the gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum CircuitState {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

impl CircuitState {
    pub(in super::super) const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CircuitEvent {
    Requested,
    Ended(CallOutcome),
    /// The caller gave up before the outcome was known.
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CircuitReply {
    Admitted,
    Rejected,
    Recorded,
}

use CircuitEvent::{Abandoned, Ended, Requested};
use CircuitReply::{Admitted, Recorded, Rejected};

impl Circuit {
    pub(super) fn closed(now: Instant) -> Self {
        Self::Closed(CallWindow::new(now))
    }

    pub(super) fn state(&self) -> CircuitState {
        match self {
            Self::Closed(_) => CircuitState::Closed,
            Self::HalfOpen(_) => CircuitState::HalfOpen,
            Self::Open { .. } => CircuitState::Open,
        }
    }

    /// Applies the event.
    pub(super) fn step(
        &mut self,
        event: CircuitEvent,
        now: Instant,
        rules: &BreakerRules,
    ) -> CircuitReply {
        let (next, reply) = match (&mut *self, event) {
            (Self::Closed(_), Requested) => (None, Admitted),
            (Self::Closed(window), Ended(end)) => {
                window.add(now, end);
                let opens = window.reaches_threshold(now, rules);
                (opens.then(|| Self::open(1, now, rules)), Recorded)
            }
            (Self::Open { until, times }, Requested) if now >= *until => {
                let probes = Probes::begin(*times);
                (Some(Self::HalfOpen(probes)), Admitted)
            }
            (Self::Open { .. }, Requested) => (None, Rejected),
            (Self::HalfOpen(probes), Requested) => (None, probes.try_admit(rules)),
            (Self::HalfOpen(probes), Ended(end)) => (probes.end(end, now, rules), Recorded),
            (Self::HalfOpen(probes), Abandoned) => {
                probes.release();
                (None, Recorded)
            }
            // A call that began before the circuit opened does not count; nor does an abandoned one.
            (Self::Open { .. }, Ended(_) | Abandoned) | (Self::Closed(_), Abandoned) => {
                (None, Recorded)
            }
        };
        if let Some(next) = next {
            *self = next;
        }
        reply
    }

    fn open(times: u32, now: Instant, rules: &BreakerRules) -> Self {
        Self::Open {
            until: now + rules.open_for.bound(times),
            times,
        }
    }
}

impl Probes {
    /// The first probe is in flight.
    fn begin(times: u32) -> Self {
        Self {
            in_flight: 1,
            succeeded: 0,
            times,
        }
    }

    fn try_admit(&mut self, rules: &BreakerRules) -> CircuitReply {
        if self.in_flight + self.succeeded >= rules.probes {
            return Rejected;
        }
        self.in_flight += 1;
        Admitted
    }

    fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The next state, if this outcome decides it.
    fn end(&mut self, end: CallOutcome, now: Instant, rules: &BreakerRules) -> Option<Circuit> {
        self.release();
        if end.has_failed || end.is_slow {
            return Some(Circuit::open(self.times.saturating_add(1), now, rules));
        }
        self.succeeded += 1;
        let is_well = self.succeeded >= rules.probes;
        is_well.then(|| Circuit::closed(now))
    }
}
