//! How long an event that fails is tried again, and how many may be given up before a partition stops.

use std::time::Duration;

use service::config::Settings;

/// Rounds of the sweeper, each five times as long after the one before: with the default a cause has half an hour to
/// pass before somebody has to look.
const ROUNDS: u32 = 3;
const GROWTH: u32 = 5;

/// Longest wait before a parked event is tried again: three rounds then take half a day. It keeps the deadlines that are
/// calculated from it within what a database can hold.
const MAX_WAIT: Duration = Duration::from_secs(30 * 60);

/// The limit is multiplied; no topic has so many records that a higher one would mean anything.
const MAX_REJECT_LIMIT: u32 = 1_000_000;

/// The settings of retries and of giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long an event is tried again while its key waits in memory; then it is parked.
    pub retry_for: Duration,
    /// How long a parked event waits before it is tried again for the first time.
    pub retry_store_delay: Duration,
    /// This many records rejected in a row stop their partition.
    pub reject_limit: u32,
}

impl RetryPolicy {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        settings.renamed("PARKED_RETRY_AFTER", "RETRY_STORE_DELAY");
        let retry_policy = Self {
            retry_for: settings.value(
                "RETRY_FOR",
                "2m",
                "how long an event that fails is tried again while later ones of its key wait in memory; then it is parked in the database, and they behind it",
            ),
            retry_store_delay: settings.value(
                "RETRY_STORE_DELAY",
                "1m",
                "time before a parked event is tried again, at most 30m; five times as long before the second round, and again before the third and last",
            ),
            reject_limit: settings.value(
                "REJECT_LIMIT",
                "50",
                "records of one partition that may be rejected in a row before it stops instead of filling the dead-letter topic; one in twenty over a long time counts the same",
            ),
        };
        retry_policy.check(settings);
        retry_policy
    }

    fn check(&self, settings: &mut Settings<'_>) {
        if self.retry_for.is_zero() {
            settings.reject("RETRY_FOR", "must be above zero");
        }
        if self.retry_store_delay.is_zero() || self.retry_store_delay > MAX_WAIT {
            let why = format!(
                "must be above zero and at most {}m",
                MAX_WAIT.as_secs() / 60
            );
            settings.reject("RETRY_STORE_DELAY", why);
        }
        if !(1..=MAX_REJECT_LIMIT).contains(&self.reject_limit) {
            let why = format!("must be 1 to {MAX_REJECT_LIMIT}");
            settings.reject("REJECT_LIMIT", why);
        }
    }

    /// How long an event waits that was parked and has failed in so many rounds since; nothing, if there is no round left.
    pub(super) fn wait_after(&self, rounds: u32) -> Option<Duration> {
        let wait = || self.retry_store_delay.saturating_mul(GROWTH.pow(rounds));
        (rounds < ROUNDS).then(wait)
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
    fn a_retry_event_has_three_rounds_each_five_times_as_long_after_the_one_before() {
        let retry_policy = read(&[]).unwrap();

        let waits = [0, 1, 2, 3].map(|rounds| retry_policy.wait_after(rounds));

        let minutes = |n: u64| Some(Duration::from_secs(n * 60));
        assert_eq!(waits, [minutes(1), minutes(5), minutes(25), None]);
    }

    #[test]
    fn no_retry_policy_at_all_and_no_end_of_it_are_refused() {
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
