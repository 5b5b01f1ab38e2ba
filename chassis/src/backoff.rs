//! How long to wait before trying again: exponential with full jitter.
//!
//! The wait is drawn evenly from zero up to the exponential bound, so that callers that failed together do not come
//! back together (AWS Architecture Blog, "Exponential Backoff And Jitter").

use std::time::Duration;

/// A schedule of waits.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Bound of the first wait; it doubles from attempt to attempt.
    pub initial: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
}

impl Backoff {
    /// The longest wait after attempt number `attempt`, counted from 1.
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A wait after attempt number `attempt`, counted from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.bound(attempt).mul_f64(rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(100),
        cap: Duration::from_secs(30),
    };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds = [1, 2, 3, 9, 10, u32::MAX].map(|attempt| BACKOFF.bound(attempt).as_millis());

        assert_eq!(bounds, [100, 200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn a_delay_stays_below_its_bound() {
        for attempt in 1..20 {
            assert!(BACKOFF.delay(attempt) <= BACKOFF.bound(attempt));
        }
    }
}
