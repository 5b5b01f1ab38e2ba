//! Sliding window: the calls of the last ten seconds in buckets of one second. Old calls expire by time, not by count.

use std::time::Duration;

use tokio::time::Instant;

use super::rules::BreakerRules;

const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallOutcome {
    pub(super) has_failed: bool,
    pub(super) is_slow: bool,
}

#[derive(Clone, Debug)]
pub(super) struct CallWindow {
    begun: Instant,
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Seconds since the window has begun.
    second: u64,
    calls: u32,
    failed: u32,
    slow: u32,
}

impl CallWindow {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            buckets: [Bucket::default(); BUCKETS],
        }
    }

    pub(super) fn add(&mut self, now: Instant, end: CallOutcome) {
        let second = self.second(now);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the remainder is below the number of buckets"
        )]
        let bucket = &mut self.buckets[(second % BUCKETS as u64) as usize];
        if bucket.second != second {
            *bucket = Bucket {
                second,
                ..Bucket::default()
            };
        }
        bucket.calls += 1;
        bucket.failed += u32::from(end.has_failed);
        bucket.slow += u32::from(end.is_slow);
    }

    /// Whether the failures or slow calls reach a threshold.
    pub(super) fn reaches_threshold(&self, now: Instant, rules: &BreakerRules) -> bool {
        let second = self.second(now);
        let (mut calls, mut failed, mut slow) = (0, 0, 0);
        for bucket in &self.buckets {
            if bucket.second + BUCKETS as u64 > second {
                calls += bucket.calls;
                failed += bucket.failed;
                slow += bucket.slow;
            }
        }
        let reaches = |count: u32, share: f64| f64::from(count) >= share * f64::from(calls);
        calls >= rules.least_calls.max(1)
            && (reaches(failed, rules.failure_share) || reaches(slow, rules.slow_share))
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs() / BUCKET.as_secs()
    }
}
