//! Random numbers from a seed: SplitMix64, implemented here so that a seed gives the same numbers with every release of
//! every library.

use std::time::Duration;

/// A seeded random number generator.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to `end`, exclusive.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let drawn = self.next() % (end.max(1) as u64);
        usize::try_from(drawn).unwrap_or_default()
    }

    /// From 0.0 to 1.0.
    pub(super) fn share(&mut self) -> f64 {
        self.below(1_001) as f64 / 1_000.0
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A duration between two numbers of seconds, in steps of 0.1 s.
    pub(super) fn seconds(&mut self, from: u64, to: u64) -> Duration {
        let tenths = usize::try_from((to - from) * 10 + 1).unwrap_or(1);
        Duration::from_millis(from * 1_000 + 100 * self.below(tenths) as u64)
    }

    /// Shuffles the values (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}
