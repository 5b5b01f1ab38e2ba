//! The outcomes of calls: latencies per kind of answer, and an example of each error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tonic::Status;

use super::answer::{CallOutcome, ErrorCause, OrderAvailability};
use crate::client::failure::CallFailure;

/// Maximum distinguishable latency in microseconds: ten minutes, far beyond any deadline.
const LONGEST: u64 = 600_000_000;

/// Decimal digits of precision: a percentile is off by a thousandth at most.
const DIGITS: u8 = 3;

/// When a call was due, when it was sent, and when it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub due: Instant,
    pub sent: Instant,
    pub answered: Instant,
}

/// Calls by kind of answer.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// Accepted orders by availability.
    pub accepted: BTreeMap<OrderAvailability, Latencies>,
    /// Calls refused by the service.
    pub refused: BTreeMap<ErrorCause, Latencies>,
    /// Calls that ended any other way.
    pub failed: BTreeMap<ErrorCause, Latencies>,
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

impl Outcomes {
    /// Adds a call; returns its classification.
    pub fn record(
        &mut self,
        times: Times,
        answer: Result<OrderAvailability, Status>,
    ) -> CallOutcome {
        let outcome = CallOutcome::of(&answer);
        let latencies = match &outcome {
            CallOutcome::Accepted(availability) => self.accepted.entry(*availability).or_default(),
            CallOutcome::Refused(cause) => self.refused.entry(cause.clone()).or_default(),
            CallOutcome::Failed(cause) => self.failed.entry(cause.clone()).or_default(),
        };
        latencies.record(times);
        if let Err(status) = answer
            && latencies.count() == 1
        {
            self.samples.push(CallFailure::from(status).to_string());
        }
        outcome
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

    /// The number of calls.
    pub fn count(&self) -> u64 {
        let errors = self.refused.values().chain(self.failed.values());
        errors
            .chain(self.accepted.values())
            .map(Latencies::count)
            .sum()
    }

    /// The figures as JSON; times in milliseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "accepted": self.all_accepted().to_json(),
            "accepted_by_availability": by_name(&self.accepted),
            "refused": self.all_refused().to_json(),
            "refused_by_cause": by_name(&self.refused),
            "failed": self.all_failed().to_json(),
            "failed_by_cause": by_name(&self.failed),
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
    pub fn record(&mut self, times: Times) {
        self.corrected.record(times.answered - times.due);
        self.uncorrected.record(times.answered - times.sent);
    }

    pub fn count(&self) -> u64 {
        self.corrected.count()
    }

    pub fn to_json(&self) -> Value {
        json!({
            "count": self.count(),
            "corrected_ms": self.corrected.to_json(),
            "uncorrected_ms": self.uncorrected.to_json(),
        })
    }
}

impl Spread {
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    fn add(&mut self, other: &Self) {
        // Cannot fail: both histograms have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of the calls did not exceed.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// In microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    pub fn to_json(&self) -> Value {
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
