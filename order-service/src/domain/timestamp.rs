//! A time in milliseconds, the precision of the store: an order that is read back equals the confirmed one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Negative values become 0.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.max(0))
    }

    /// Never negative.
    pub fn unix_millis(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Truncates to milliseconds.
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
    fn a_time_is_truncated_to_milliseconds() {
        let moment = UNIX_EPOCH + Duration::from_nanos(1_234_567_890_123_456_789);

        let timestamp = Timestamp::from(moment);

        assert_eq!(timestamp.unix_millis(), 1_234_567_890_123);
        assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
    }

    #[test]
    fn a_time_before_the_epoch_becomes_the_epoch() {
        assert_eq!(
            Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).unix_millis(),
            0
        );
        assert_eq!(Timestamp::from_unix_millis(-1).unix_millis(), 0);
    }
}
