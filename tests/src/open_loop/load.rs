//! The load that a run offers.

use std::time::Duration;

use clap::ValueEnum;

use super::rate_curve::{RateCurve, Stage};

/// An offered load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub arrivals: Arrivals,
    /// Calls per second.
    pub per_second: f64,
    /// Calls due in this time are sent and not counted: connections are opened, caches are filled.
    pub warm_up: Duration,
    /// Duration of the counted calls, after the warm-up.
    pub length: Duration,
    /// Maximum calls in flight.
    pub outstanding: usize,
}

impl Load {
    /// Its rate over the whole time, warm-up included.
    pub(super) fn curve(&self) -> RateCurve {
        let whole = self.warm_up + self.length;
        RateCurve::new(vec![Stage::constant(self.per_second, whole)])
    }
}

/// How calls are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// At equal intervals.
    Constant,
    /// Like many independent callers: the gaps are exponentially distributed (Poisson process).
    Poisson,
}
