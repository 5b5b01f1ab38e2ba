//! The load that a run offers.

use std::time::Duration;

use clap::ValueEnum;

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

/// How calls are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// At equal intervals.
    Constant,
    /// Like many independent callers: the gaps are exponentially distributed (Poisson process).
    Poisson,
}
