//! Repeatable random numbers for the simulations.
//!
//! SplitMix64 (Steele and others 2014), implemented here so that a seed gives the same run after any dependency update.
//! [`seeds`] runs a simulation with seed after seed until it has taken a given number of steps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

use std::ops::Range;

/// A SplitMix64 generator.
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `range`, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next_u64() % (range.end - range.start)
    }

    /// An index below `length`, which must not be zero.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.within(0..length as u64)).unwrap()
    }

    /// True with a probability of `per_mille` in a thousand.
    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.within(0..1_000) < per_mille
    }
}

/// Runs `simulate`, which returns the number of its steps, with seed after seed until `steps` are taken.
///
/// `SIMULATION_STEPS` overrides the number of steps; `SIMULATION_SEED` repeats a single run. A failing run prints its seed.
pub fn seeds(name: &str, steps: u64, simulate: impl Fn(u64) -> u64) {
    if let Some(seed) = setting("SIMULATION_SEED") {
        println!(
            "simulation of {name}: seed {seed}, {} steps",
            simulate(seed)
        );
        return;
    }
    let wanted = setting("SIMULATION_STEPS").unwrap_or(steps);
    let started = std::time::Instant::now();
    let (mut seed, mut taken) = (0, 0);
    while taken < wanted {
        let failure = FailingSeed { name, seed };
        taken += simulate(seed);
        std::mem::forget(failure);
        seed += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("simulation of {name}: {taken} steps in {seed} runs, {seconds:.1} s");
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Prints the seed of a run that panics.
struct FailingSeed<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for FailingSeed<'_> {
    fn drop(&mut self) {
        let Self { name, seed } = self;
        eprintln!("simulation of {name} failed: repeat it with SIMULATION_SEED={seed}");
    }
}
