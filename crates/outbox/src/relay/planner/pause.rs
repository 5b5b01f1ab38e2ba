//! The pause of database statements after a failure.

use std::time::Duration;

use tokio::time::Instant;

/// First pause; it doubles with each further failure in a row, up to eight times: a failed commit deserves a quick retry, an
/// outage does not.
const INITIAL: Duration = Duration::from_millis(300);
const MAX_DOUBLINGS: u32 = 3;

/// No statement runs before it ends, except renewals of the leases.
#[derive(Debug)]
pub(super) struct DatabasePause {
    ends: Instant,
    /// Failures in a row.
    failures: u32,
}

impl DatabasePause {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ends: now,
            failures: 0,
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.ends = now + INITIAL * 2_u32.pow(self.failures.min(MAX_DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The end of the pause, while it lasts.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        (now < self.ends).then_some(self.ends)
    }
}
