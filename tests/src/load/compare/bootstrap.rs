//! The interval of a difference between two series of windows, by a moving block bootstrap.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Resamples: the ends of the interval then vary by about a hundredth of its width.
const RESAMPLES: usize = 2_000;

/// Half of what is outside of the interval.
const TAIL: f64 = 0.025;

/// The same files give the same answer.
const SEED: u64 = 16;

/// An interval that contains the true value with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Interval {
    pub(super) fn excludes_zero(self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Of `mean(after) / mean(before) - 1`. `None` when the first mean is zero, or in a resample may be.
pub(super) fn relative_difference(before: &[f64], after: &[f64]) -> Option<Interval> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut differences = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let base = resampled_mean(before, &mut rng);
        let difference = resampled_mean(after, &mut rng) / base - 1.0;
        differences.push(Some(difference).filter(|difference| difference.is_finite())?);
    }
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences[(share * (RESAMPLES - 1) as f64).round() as usize];
    Some(Interval {
        low: at(TAIL),
        high: at(1.0 - TAIL),
    })
}

/// The mean of as many values, drawn in blocks of neighbours; a block that reaches the end goes on at the beginning.
fn resampled_mean(values: &[f64], rng: &mut StdRng) -> f64 {
    let number = values.len();
    // The usual length for a mean: the cube root.
    let block = (number as f64).cbrt().ceil() as usize;
    let mut sum = 0.0;
    let mut drawn = 0;
    while drawn < number {
        let start = rng.random_range(0..number);
        for offset in 0..block.min(number - drawn) {
            sum += values[(start + offset) % number];
            drawn += 1;
        }
    }
    sum / number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_contains_the_difference_and_narrows_with_more_windows() {
        let values = |number: i32, height: f64| -> Vec<f64> {
            (0..number)
                .map(|window| height + f64::from(window * 7 % 13))
                .collect()
        };

        let few = relative_difference(&values(13, 100.0), &values(13, 150.0)).unwrap();
        let many = relative_difference(&values(1_300, 100.0), &values(1_300, 150.0)).unwrap();

        for interval in [few, many] {
            assert!(
                interval.low < 50.0 / 106.0 && 50.0 / 106.0 < interval.high,
                "{interval:?}"
            );
        }
        assert!(
            many.high - many.low < (few.high - few.low) / 3.0,
            "{few:?} {many:?}"
        );
    }

    #[test]
    fn without_a_base_there_is_no_relative_difference() {
        assert_eq!(relative_difference(&[0.0; 10], &[1.0; 10]), None);
    }

    #[test]
    fn the_same_series_give_the_same_interval() {
        let values: Vec<_> = (0..20).map(f64::from).collect();

        assert_eq!(
            relative_difference(&values[1..], &values),
            relative_difference(&values[1..], &values)
        );
    }
}
