//! The measurements of a load: counts, and latencies per kind of outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::answer::{ErrorCause, OrderAvailability};
use super::load::Load;

/// Maximum distinguishable latency in microseconds: ten minutes, far beyond any deadline.
const LONGEST: u64 = 600_000_000;

/// Decimal digits of precision: a percentile is off by a thousandth at most.
const DIGITS: u8 = 3;

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
    /// Accepted orders by availability.
    pub accepted: BTreeMap<OrderAvailability, Latencies>,
    /// Calls refused by the service.
    pub refused: BTreeMap<ErrorCause, Latencies>,
    /// Calls that ended any other way.
    pub failed: BTreeMap<ErrorCause, Latencies>,
    /// How late the sends were.
    pub lag: Spread,
    /// The full text of the first error of each cause.
    pub samples: Vec<String>,
}

/// The latencies of one kind of outcome.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From when the calls were due.
    pub corrected: Spread,
    /// From when they were sent.
    pub uncorrected: Spread,
}

/// A distribution of times, to the microsecond.
#[derive(Clone, Debug)]
pub struct Spread(Histogram<u64>);

impl Measured {
    pub(super) fn of(load: Load) -> Self {
        Self {
            load,
            offered: 0,
            dropped: 0,
            accepted: BTreeMap::new(),
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            lag: Spread::default(),
            samples: Vec::new(),
        }
    }

    pub fn all_accepted(&self) -> Latencies {
        all(self.accepted.values())
    }

    pub fn all_refused(&self) -> Latencies {
        all(self.refused.values())
    }

    pub fn all_failed(&self) -> Latencies {
        all(self.failed.values())
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
        let ended = self.all_accepted().count() + self.all_refused().count();
        self.offered == self.dropped + ended + self.all_failed().count()
    }

    /// The figures as JSON; times in milliseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "asked_per_second": self.load.per_second,
            "seconds": self.load.length.as_secs_f64(),
            "offered": self.offered,
            "dropped": self.dropped,
            "accepted": self.all_accepted().to_json(),
            "accepted_by_availability": by_name(&self.accepted),
            "refused": self.all_refused().to_json(),
            "refused_by_cause": by_name(&self.refused),
            "failed": self.all_failed().to_json(),
            "failed_by_cause": by_name(&self.failed),
            "generator_lag_ms": self.lag.to_json(),
            "generator_kept_up": self.generator_kept_up(),
            "samples": self.samples,
        })
    }
}

fn all<'a>(kinds: impl Iterator<Item = &'a Latencies>) -> Latencies {
    kinds.fold(Latencies::default(), |mut all, kind| {
        all.corrected.add(&kind.corrected);
        all.uncorrected.add(&kind.uncorrected);
        all
    })
}

fn by_name<K: ToString>(kinds: &BTreeMap<K, Latencies>) -> BTreeMap<String, Value> {
    let kinds = kinds.iter();
    kinds
        .map(|(kind, latencies)| (kind.to_string(), latencies.to_json()))
        .collect()
}

impl Latencies {
    pub fn count(&self) -> u64 {
        self.corrected.0.len()
    }

    pub(super) fn is_first(&self) -> bool {
        self.count() == 1
    }

    fn to_json(&self) -> Value {
        json!({
            "count": self.count(),
            "corrected_ms": self.corrected.to_json(),
            "uncorrected_ms": self.uncorrected.to_json(),
        })
    }
}

impl Spread {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    fn add(&mut self, other: &Self) {
        // Cannot fail: both histograms have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// The latency that this share of the calls did not exceed.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    fn to_json(&self) -> Value {
        json!({
            "p50": millis(self.quantile(0.5)),
            "p99": millis(self.quantile(0.99)),
            "p999": millis(self.quantile(0.999)),
            "max": millis(self.max()),
        })
    }
}

impl Default for Spread {
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LONGEST, DIGITS);
        Self(histogram.expect("a maximum above 2 and at most 5 digits are valid"))
    }
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

impl fmt::Display for Latencies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [0.5, 0.99].map(|share| millis(self.corrected.quantile(share)));
        let max = millis(self.corrected.max());
        write!(formatter, "p50 {p50:.2} p99 {p99:.2} max {max:.1} ms")
    }
}

/// Milliseconds for display.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
