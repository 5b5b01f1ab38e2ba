//! An axis: from a value to a position between 0 and 1, and the ticks.

use super::text::{number, without_zeros};

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// Equal factors are equal distances; values must be positive.
    Log,
    /// A share of all values, from 0 to below 1: each further nine is one step, so that the tail gets its room.
    Percentile,
}

/// An axis with its label.
#[derive(Clone, Debug)]
pub struct Axis {
    pub(super) label: String,
    pub(super) scale: Scale,
}

/// An axis whose range is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    pub fn linear(label: &str) -> Self {
        Self::of(label, Scale::Linear)
    }

    pub fn log(label: &str) -> Self {
        Self::of(label, Scale::Log)
    }

    pub fn percentile(label: &str) -> Self {
        Self::of(label, Scale::Percentile)
    }

    fn of(label: &str, scale: Scale) -> Self {
        let label = label.to_owned();
        Self { label, scale }
    }

    /// Whether the axis has a place for a value.
    pub(super) fn shows(&self, value: f64) -> bool {
        match self.scale {
            Scale::Linear => value.is_finite(),
            Scale::Log => value.is_finite() && value > 0.0,
            Scale::Percentile => (0.0..1.0).contains(&value),
        }
    }

    /// The range that shows all of these values.
    pub(super) fn range(&self, values: impl Iterator<Item = f64>) -> Range {
        let scale = self.scale;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| self.shows(*value)) {
            let place = scale.place(value);
            (low, high) = (low.min(place), high.max(place));
        }
        if !low.is_finite() {
            (low, high) = (0.0, 1.0);
        }
        match scale {
            Scale::Linear => (low, high) = (low.min(0.0), next_tick(low.min(0.0), high)),
            // Whole decades would leave most of a narrow plot empty.
            Scale::Log => (low, high) = (low - 0.05, high + 0.05),
            Scale::Percentile => low = 0.0,
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        Range { scale, low, high }
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
            Self::Percentile => -(1.0 - value).log10(),
        }
    }
}

impl Range {
    /// From 0 at the low end to 1 at the high end.
    pub(super) fn position(&self, value: f64) -> f64 {
        (self.scale.place(value) - self.low) / (self.high - self.low)
    }

    /// Positions with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.scale {
            Scale::Linear => self.linear_ticks(),
            Scale::Log => self.log_ticks(),
            Scale::Percentile => vec![0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999],
        };
        let label = |value: f64| match self.scale {
            Scale::Percentile => without_zeros(&format!("{:.3}", value * 100.0)) + "%",
            _ => number(value),
        };
        let ticks = values
            .into_iter()
            .map(|value| (self.position(value), value));
        ticks
            .filter(|(position, _)| (-1e-9..=1.0 + 1e-9).contains(position))
            .map(|(position, value)| (position, label(value)))
            .collect()
    }

    fn linear_ticks(&self) -> Vec<f64> {
        let step = step(self.high - self.low);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }

    /// 1, 2 and 5 of each decade; over many decades only 1.
    fn log_ticks(&self) -> Vec<f64> {
        let factors: &[f64] = if self.high - self.low > 3.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        decades
            .flat_map(|decade| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(decade))
            })
            .collect()
    }
}

/// The distance of ticks that divides a length into about five parts: 1, 2 or 5 times a power of ten.
fn step(length: f64) -> f64 {
    let rough = (length / 5.0).max(f64::MIN_POSITIVE);
    let decade = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * decade >= rough);
    factor.unwrap_or(10.0) * decade
}

/// The first tick at or above a value.
fn next_tick(low: f64, value: f64) -> f64 {
    let step = step(value - low);
    (value / step).ceil() * step
}
