//! Thresholds of the circuit breaker.

use std::time::Duration;

use service::backoff::Backoff;

#[derive(Clone, Copy, Debug)]
pub struct BreakerRules {
    /// Minimum number of calls within the last ten seconds.
    pub least_calls: u32,
    /// Opens at this share of failed calls.
    pub failure_share: f64,
    /// Duration from which a call is slow.
    pub slow_call: Duration,
    /// Opens at this share of slow calls.
    pub slow_share: f64,
    /// Time in the open state, by consecutive openings; without jitter, because few probes follow.
    pub open_for: Backoff,
    /// Probes in flight when half open; all must succeed.
    pub probes: u32,
}

impl BreakerRules {
    /// Defaults, with this threshold for slow calls.
    ///
    /// Half of the calls must fail, so that one bad replica of three does not block the others; twenty calls are few at
    /// any real load and too many for a coincidence. One second is about a restart; five seconds is the longest
    /// acceptable wait for a dependency that has recovered, and three probes in that time are no load for one that has
    /// not.
    pub fn with_slow_call(slow_call: Duration) -> Self {
        Self {
            least_calls: 20,
            failure_share: 0.5,
            slow_call,
            slow_share: 0.8,
            open_for: Backoff {
                initial: Duration::from_secs(1),
                cap: Duration::from_secs(5),
            },
            probes: 3,
        }
    }
}
