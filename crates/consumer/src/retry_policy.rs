//! How long a failing event is retried in memory, the delays of its rounds in the retry store, after which round it is dead,
//! and how many rejects stop a partition. Whether a failure is retried at all is classified in [`crate::attempts`]. Pure;
//! [`crate::retries`] and [`crate::sweeper`] apply it.

use std::time::Duration;

use service::backoff::Backoff;
use service::config::Settings;

/// Between attempts: short at first, since most causes pass quickly; at most half a minute, so that an event is handled soon
/// after a long outage.
pub(crate) const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(30),
};

/// Rounds of the sweeper, each five times as long after the previous one: with the default a cause has half an hour to pass
/// before an operator has to look.
const ROUNDS: u32 = 3;
const GROWTH: u32 = 5;

/// Longest delay before the first round: three rounds then take half a day. It keeps the computed deadlines within the range
/// of a database column.
const MAX_RETRY_STORE_DELAY: Duration = Duration::from_secs(30 * 60);

/// Keeps the arithmetic of the reject gate from overflowing.
const MAX_REJECT_LIMIT: u32 = 1_000_000;

/// How failing events are retried, and when a partition stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// In-memory retry time of a failing event while its key waits; then it is moved to the retry store.
    pub retry_for: Duration,
    /// Delay before the first round of an event in the retry store.
    pub retry_store_delay: Duration,
    /// This many records rejected in a row stop their partition.
    pub reject_limit: u32,
}

impl RetryPolicy {
    /// Reads the settings `RETRY_FOR`, `RETRY_STORE_DELAY` and `REJECT_LIMIT`.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        settings.renamed("PARKED_RETRY_AFTER", "RETRY_STORE_DELAY");
        let retry_policy = Self {
            retry_for: settings.value(
                "RETRY_FOR",
                "2m",
                "in-memory retry time of a failing event; after it the key moves to the retry store, later events of the key behind it",
            ),
            retry_store_delay: settings.value(
                "RETRY_STORE_DELAY",
                "1m",
                "delay before an event in the retry store is retried, at most 30m; five times as long before the second round, and again before the third and last",
            ),
            reject_limit: settings.value(
                "REJECT_LIMIT",
                "50",
                "rejected records in a row after which a partition stops instead of filling the dead-letter topic; one in twenty over a long time counts the same",
            ),
        };
        retry_policy.check(settings);
        retry_policy
    }

    fn check(&self, settings: &mut Settings<'_>) {
        if self.retry_for.is_zero() {
            settings.reject("RETRY_FOR", "must be above zero");
        }
        if self.retry_store_delay.is_zero() || self.retry_store_delay > MAX_RETRY_STORE_DELAY {
            let why = format!(
                "must be above zero and at most {}m",
                MAX_RETRY_STORE_DELAY.as_secs() / 60
            );
            settings.reject("RETRY_STORE_DELAY", why);
        }
        if !(1..=MAX_REJECT_LIMIT).contains(&self.reject_limit) {
            let why = format!("must be 1 to {MAX_REJECT_LIMIT}");
            settings.reject("REJECT_LIMIT", why);
        }
    }

    /// Whether an event that has failed for this long moves to the retry store.
    pub(crate) fn is_exhausted(&self, failing_for: Duration) -> bool {
        failing_for >= self.retry_for
    }

    /// The wait after a failed attempt, counted from 1, up to the end of the retry time.
    pub(crate) fn backoff(&self, attempt: u32, failing_for: Duration) -> Duration {
        let remaining = self.retry_for.saturating_sub(failing_for);
        BACKOFF.delay(attempt).min(remaining)
    }

    /// The delay before the next round in the retry store after this many failed rounds; `None` if the event is dead.
    pub(crate) fn delay_after_round(&self, rounds: u32) -> Option<Duration> {
        let delay = || self.retry_store_delay.saturating_mul(GROWTH.pow(rounds));
        (rounds < ROUNDS).then(delay)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use service::config::ConfigError;

    fn read(pairs: &[(&str, &str)]) -> Result<RetryPolicy, ConfigError> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let source: BTreeMap<_, _> = owned.collect();
        let mut settings = Settings::new(&source);
        let retry_policy = RetryPolicy::read(&mut settings);
        settings.finish(retry_policy)
    }

    #[test]
    fn a_retry_event_has_three_rounds_with_growing_delays() {
        let retry_policy = read(&[]).unwrap();

        let delays = [0, 1, 2, 3].map(|rounds| retry_policy.delay_after_round(rounds));

        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        assert_eq!(delays, [minutes(1), minutes(5), minutes(25), None]);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let nothing = [
            ("RETRY_FOR", "0s"),
            ("RETRY_STORE_DELAY", "0s"),
            ("REJECT_LIMIT", "0"),
        ];
        let everything = [("RETRY_STORE_DELAY", "31m"), ("REJECT_LIMIT", "1000001")];

        assert_eq!(read(&nothing).unwrap_err().mistakes().len(), 3);
        assert_eq!(read(&everything).unwrap_err().mistakes().len(), 2);
    }
}
