//! The measurements of a load: counts, and latencies per kind of outcome.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::Load;
use super::outcomes::{Latencies, Outcomes, Spread};

pub use super::outcomes::millis;

/// The generator keeps up while 99 of 100 sends are late by less than this: half of the smallest bound that is measured
/// with it. On shared cores the scheduler may delay it by some milliseconds.
const KEEPS_UP: Duration = Duration::from_millis(5);

/// The result of a load, without the warm-up.
#[derive(Clone, Debug)]
pub struct Measured {
    pub load: Load,
    /// Calls that were due.
    pub offered: u64,
    /// Calls that were not sent, because too many were in flight.
    pub dropped: u64,
    pub outcomes: Outcomes,
    /// How late the sends were.
    pub lag: Spread,
}

impl Measured {
    pub(super) fn of(load: Load) -> Self {
        Self {
            load,
            offered: 0,
            dropped: 0,
            outcomes: Outcomes::default(),
            lag: Spread::default(),
        }
    }

    pub fn all_accepted(&self) -> Latencies {
        self.outcomes.all_accepted()
    }

    pub fn all_refused(&self) -> Latencies {
        self.outcomes.all_refused()
    }

    pub fn all_failed(&self) -> Latencies {
        self.outcomes.all_failed()
    }

    /// A count per second of the measured time.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.load.length.as_secs_f64()
    }

    /// Whether the generator sent in time, so that the figures describe the server.
    pub fn generator_kept_up(&self) -> bool {
        self.lag.quantile(0.99) < KEEPS_UP
    }

    /// Whether every call that was due has an outcome.
    pub(super) fn is_whole(&self) -> bool {
        self.offered == self.dropped + self.outcomes.count()
    }

    /// The figures as JSON; times in milliseconds.
    pub fn to_json(&self) -> Value {
        let own = json!({
            "asked_per_second": self.load.per_second,
            "seconds": self.load.length.as_secs_f64(),
            "offered": self.offered,
            "dropped": self.dropped,
            "generator_lag_ms": self.lag.to_json(),
            "generator_kept_up": self.generator_kept_up(),
        });
        merged(own, self.outcomes.to_json())
    }
}

/// The fields of both objects.
fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(all), Value::Object(further)) = (&mut first, second) {
        all.extend(further);
    }
    first
}

/// One line for the terminal.
impl fmt::Display for Measured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offered = self.per_second(self.offered);
        write!(formatter, "offered {offered:>7.0}/s")?;
        for (name, latencies) in [
            ("accepted", self.all_accepted()),
            ("refused", self.all_refused()),
            ("failed", self.all_failed()),
        ] {
            if latencies.count() > 0 {
                let per_second = self.per_second(latencies.count());
                write!(formatter, "; {name} {per_second:>7.0}/s, {latencies}")?;
            }
        }
        if self.dropped > 0 {
            let dropped = self.per_second(self.dropped);
            write!(formatter, "; dropped {dropped:.0}/s")?;
        }
        if !self.generator_kept_up() {
            let lag = millis(self.lag.quantile(0.99));
            write!(formatter, "; THE GENERATOR WAS LATE, p99 {lag:.1} ms")?;
        }
        Ok(())
    }
}
