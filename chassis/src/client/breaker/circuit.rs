//! The states of a circuit breaker and how they follow from each other: pure, the caller brings the time.

use tokio::time::Instant;

use super::BreakerRules;
use super::window::Window;

/// A circuit: closed lets calls pass, open does not, half open lets a few try.
#[derive(Clone, Debug)]
pub(super) enum Circuit {
    Closed(Window),
    Open {
        until: Instant,
        /// How often it has opened since it was last closed.
        times: u32,
    },
    HalfOpen {
        working: u32,
        succeeded: u32,
        times: u32,
    },
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
    Ended { has_failed: bool, is_slow: bool },
    /// A caller gave up before its call said anything.
    GivenUp,
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
            Self::HalfOpen { .. } => Kind::HalfOpen,
            Self::Open { .. } => Kind::Open,
        }
    }

    /// Lets the event happen.
    pub(super) fn step(&mut self, event: Event, now: Instant, rules: &BreakerRules) -> Reply {
        let (next, reply) = match (&mut *self, event) {
            (Self::Closed(_), Event::Asked) => (None, Reply::Admitted),
            (
                Self::Closed(window),
                Event::Ended {
                    has_failed,
                    is_slow,
                },
            ) => {
                window.add(now, has_failed, is_slow);
                let is_bad = window.is_bad(now, rules);
                (is_bad.then(|| Self::open(1, now, rules)), Reply::Noted)
            }
            (Self::Open { until, times }, Event::Asked) if now >= *until => {
                (Some(Self::first_probe(*times)), Reply::Admitted)
            }
            (Self::Open { .. }, Event::Asked) => (None, Reply::Refused),
            (
                Self::HalfOpen {
                    working, succeeded, ..
                },
                Event::Asked,
            ) => {
                if *working + *succeeded < rules.probes {
                    *working += 1;
                    (None, Reply::Admitted)
                } else {
                    (None, Reply::Refused)
                }
            }
            (
                Self::HalfOpen {
                    working,
                    succeeded,
                    times,
                },
                Event::Ended {
                    has_failed,
                    is_slow,
                },
            ) => {
                *working = working.saturating_sub(1);
                *succeeded += 1;
                if has_failed || is_slow {
                    let next = Self::open(times.saturating_add(1), now, rules);
                    (Some(next), Reply::Noted)
                } else {
                    let is_well = *succeeded >= rules.probes;
                    (is_well.then(|| Self::closed(now)), Reply::Noted)
                }
            }
            (Self::HalfOpen { working, .. }, Event::GivenUp) => {
                *working = working.saturating_sub(1);
                (None, Reply::Noted)
            }
            // A call that began before it opened says nothing about now; who gave up has seen nothing.
            (Self::Open { .. }, Event::Ended { .. } | Event::GivenUp)
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

    /// Whoever asks first is the first probe.
    fn first_probe(times: u32) -> Self {
        Self::HalfOpen {
            working: 1,
            succeeded: 0,
            times,
        }
    }
}
