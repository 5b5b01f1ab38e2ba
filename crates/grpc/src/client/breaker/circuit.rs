//! The states of a circuit breaker and how they follow from each other: pure, the caller brings the time.

use tokio::time::Instant;

use super::BreakerRules;
use super::window::Window;

/// A circuit: closed lets calls pass, open does not, half open lets a few try.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per dependency, and most of the time it is closed"
)]
pub(super) enum Circuit {
    Closed(Window),
    Open {
        until: Instant,
        /// How often it has opened since it was last closed.
        times: u32,
    },
    HalfOpen(Probes),
}

/// The calls that try out whether the dependency is well again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes {
    pub(super) working: u32,
    pub(super) succeeded: u32,
    /// As in the state before.
    times: u32,
}

/// The state without what belongs to it; the number is what the gauge shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

impl Kind {
    pub(in super::super) const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// Its name in metrics.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What happens to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody wants to make a call.
    Asked,
    /// A call has ended.
    Ended(End),
    /// A caller gave up before its call said anything.
    GivenUp,
}

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) has_failed: bool,
    pub(super) is_slow: bool,
}

/// What the one that caused the event hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Admitted,
    Refused,
    Noted,
}

impl Circuit {
    pub(super) fn closed(now: Instant) -> Self {
        Self::Closed(Window::new(now))
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Closed(_) => Kind::Closed,
            Self::HalfOpen(_) => Kind::HalfOpen,
            Self::Open { .. } => Kind::Open,
        }
    }

    /// Lets the event happen.
    pub(super) fn step(&mut self, event: Event, now: Instant, rules: &BreakerRules) -> Reply {
        let (next, reply) = match (&mut *self, event) {
            (Self::Closed(_), Event::Asked) => (None, Reply::Admitted),
            (Self::Closed(window), Event::Ended(end)) => {
                window.add(now, end);
                let is_bad = window.is_bad(now, rules);
                (is_bad.then(|| Self::open(1, now, rules)), Reply::Noted)
            }
            (Self::Open { until, times }, Event::Asked) if now >= *until => {
                let probes = Probes::begin(*times);
                (Some(Self::HalfOpen(probes)), Reply::Admitted)
            }
            (Self::Open { .. }, Event::Asked) => (None, Reply::Refused),
            (Self::HalfOpen(probes), Event::Asked) => (None, probes.ask(rules)),
            (Self::HalfOpen(probes), Event::Ended(end)) => {
                (probes.end(end, now, rules), Reply::Noted)
            }
            (Self::HalfOpen(probes), Event::GivenUp) => {
                probes.leave();
                (None, Reply::Noted)
            }
            // A call that began before it opened says nothing about now; who gave up has seen nothing.
            (Self::Open { .. }, Event::Ended(_) | Event::GivenUp)
            | (Self::Closed(_), Event::GivenUp) => (None, Reply::Noted),
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
    /// Whoever asks first is the first one.
    fn begin(times: u32) -> Self {
        Self {
            working: 1,
            succeeded: 0,
            times,
        }
    }

    fn ask(&mut self, rules: &BreakerRules) -> Reply {
        if self.working + self.succeeded >= rules.probes {
            return Reply::Refused;
        }
        self.working += 1;
        Reply::Admitted
    }

    fn leave(&mut self) {
        self.working = self.working.saturating_sub(1);
    }

    /// What follows from it, if it decides.
    fn end(&mut self, end: End, now: Instant, rules: &BreakerRules) -> Option<Circuit> {
        self.leave();
        if end.has_failed || end.is_slow {
            return Some(Circuit::open(self.times.saturating_add(1), now, rules));
        }
        self.succeeded += 1;
        let is_well = self.succeeded >= rules.probes;
        is_well.then(|| Circuit::closed(now))
    }
}
