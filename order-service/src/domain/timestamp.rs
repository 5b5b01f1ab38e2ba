//! A moment, exact to the millisecond: what the store keeps, so an order read back equals the one confirmed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Takes milliseconds since the Unix epoch; a moment before it counts as the epoch.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.max(0))
    }

    /// Milliseconds since the Unix epoch, never negative.
    pub fn unix_millis(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Cuts off what is finer than a millisecond.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(timestamp.0.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_keeps_its_milliseconds_and_nothing_finer() {
        let moment = UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);

        let timestamp = Timestamp::from(moment);

        assert_eq!(timestamp.unix_millis(), 1_234_567_890_123);
        assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
    }

    #[test]
    fn a_moment_before_the_epoch_counts_as_the_epoch() {
        assert_eq!(
            Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).unix_millis(),
            0
        );
        assert_eq!(Timestamp::from_unix_millis(-1).unix_millis(), 0);
    }
}
