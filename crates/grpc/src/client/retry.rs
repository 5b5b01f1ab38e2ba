//! Retries by gRFC A6: which calls, after which backoff, within which budget. Without I/O.
//!
//! A retry must be allowed by the retry policy of the method, by the server, which can set the wait or forbid the retry
//! (pushback), and by the [`RetryBudget`] that all calls share: under many failures retries would only add load.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use super::service_config::{CallRetryPolicy, Throttling};

/// Header or trailer with the server's retry delay in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The backoff is multiplied by a number of this range, so that callers that failed together do not retry together.
const JITTER: RangeInclusive<f64> = 0.8..=1.2;

/// Cost of one failed call: a whole token, in thousandths.
const TOKEN: i64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    /// Retry after this time.
    After(Duration),
    /// No retry: a negative number, or no number.
    Never,
}

impl Pushback {
    pub(super) fn read(metadata: &HeaderMap) -> Option<Self> {
        let value = metadata.get(PUSHBACK)?;
        let millis = value.to_str().ok().and_then(|text| text.parse().ok());
        Some(millis.map_or(Self::Never, |millis: u32| {
            Self::After(Duration::from_millis(millis.into()))
        }))
    }
}

/// Token bucket: failures take tokens, successes add some; below half of the tokens there are no retries.
#[derive(Debug)]
pub(super) struct RetryBudget {
    throttling: Option<Throttling>,
    tokens: AtomicI64,
    retries: AtomicU64,
    withheld: AtomicU64,
}

impl RetryBudget {
    pub(super) fn new(throttling: Option<Throttling>) -> Self {
        Self {
            throttling,
            tokens: AtomicI64::new(throttling.map_or(0, |throttling| throttling.max_tokens)),
            retries: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
        }
    }

    /// Retries made.
    pub(super) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Retries withheld because the retry budget was exhausted.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    fn succeeded(&self) {
        if let Some(throttling) = self.throttling {
            self.change(throttling, throttling.token_ratio);
        }
    }

    /// Takes a token; returns whether a retry is allowed.
    fn failed(&self) -> bool {
        self.throttling
            .is_none_or(|throttling| self.change(throttling, -TOKEN) > throttling.max_tokens / 2)
    }

    fn change(&self, throttling: Throttling, amount: i64) -> i64 {
        let changed = |tokens: i64| (tokens + amount).clamp(0, throttling.max_tokens);
        let before = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                Some(changed(tokens))
            });
        let (Ok(before) | Err(before)) = before;
        changed(before)
    }
}

#[derive(Debug)]
pub(super) struct CallAttempts<'a> {
    policy: Option<&'a CallRetryPolicy>,
    budget: &'a RetryBudget,
    made: u32,
    backoffs: i32,
}

impl<'a> CallAttempts<'a> {
    pub(super) fn new(policy: Option<&'a CallRetryPolicy>, budget: &'a RetryBudget) -> Self {
        Self {
            policy,
            budget,
            made: 0,
            backoffs: 0,
        }
    }

    /// Failed attempts before the current one.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// The response of an attempt is committed: update the budget only.
    pub(super) fn committed(&self, code: Code) {
        if code == Code::Ok {
            self.budget.succeeded();
        } else if self.is_retryable(code) {
            self.budget.failed();
        }
    }

    /// An attempt has failed: the wait before the next one, `None` for no retry.
    pub(super) fn failed(&mut self, code: Code, pushback: Option<Pushback>) -> Option<Duration> {
        self.made += 1;
        let policy = self.policy?;
        let is_retryable = self.is_retryable(code);
        // A server that forbids the retry counts like one that is unavailable.
        let costs = is_retryable || pushback == Some(Pushback::Never);
        let has_budget = !costs || self.budget.failed();
        if !is_retryable || pushback == Some(Pushback::Never) || self.made >= policy.max_attempts {
            return None;
        }
        if !has_budget {
            self.budget.withheld.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.wait(policy, pushback))
    }

    /// Counts the retry.
    pub(super) fn count_retry(&self) {
        self.budget.retries.fetch_add(1, Ordering::Relaxed);
    }

    fn is_retryable(&self, code: Code) -> bool {
        self.policy
            .is_some_and(|policy| policy.codes.contains(&code))
    }

    fn wait(&mut self, policy: &CallRetryPolicy, pushback: Option<Pushback>) -> Duration {
        if let Some(Pushback::After(wait)) = pushback {
            // The server has set the wait: the backoff starts over.
            self.backoffs = 0;
            return wait;
        }
        let backoff = policy.backoff(self.backoffs);
        self.backoffs += 1;
        backoff.mul_f64(rand::random_range(JITTER))
    }
}

impl CallRetryPolicy {
    /// Backoff without jitter after this many waits.
    fn backoff(&self, waits: i32) -> Duration {
        let grown = self.initial_backoff.as_secs_f64() * self.backoff_multiplier.powi(waits);
        Duration::try_from_secs_f64(grown.min(self.max_backoff.as_secs_f64()))
            .unwrap_or(self.max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> CallRetryPolicy {
        CallRetryPolicy {
            max_attempts: 4,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(300),
            backoff_multiplier: 2.0,
            codes: vec![Code::Unavailable],
        }
    }

    fn budget(tokens: i64) -> RetryBudget {
        RetryBudget::new(Some(Throttling {
            max_tokens: tokens * TOKEN,
            token_ratio: 100,
        }))
    }

    fn pushback(value: &'static str) -> Option<Pushback> {
        let mut metadata = HeaderMap::new();
        metadata.insert(PUSHBACK, http::HeaderValue::from_static(value));
        Pushback::read(&metadata)
    }

    #[test]
    fn backoff_grows_up_to_its_cap_and_ends_with_the_last_attempt() {
        let (policy, budget) = (policy(), budget(100));
        let mut attempts = CallAttempts::new(Some(&policy), &budget);

        let waits: Vec<_> = (0..4)
            .map(|_| attempts.failed(Code::Unavailable, None))
            .collect();

        for (wait, millis) in waits.iter().zip([100.0, 200.0, 300.0]) {
            let wait = wait.unwrap().as_secs_f64() * 1_000.0;
            assert!((millis * 0.8..=millis * 1.2).contains(&wait), "{wait}");
        }
        assert_eq!(waits[3], None);
    }

    #[test]
    fn only_listed_codes_are_retried_and_take_tokens() {
        let (policy, budget) = (policy(), budget(2));

        let wait = CallAttempts::new(Some(&policy), &budget).failed(Code::Internal, None);

        assert_eq!(wait, None);
        assert_eq!(budget.tokens.load(Ordering::Relaxed), 2 * TOKEN);
        assert_eq!(
            CallAttempts::new(None, &budget).failed(Code::Unavailable, None),
            None
        );
    }

    #[test]
    fn the_retry_budget_is_exhausted_below_half_of_its_tokens_until_calls_succeed() {
        let (policy, budget) = (policy(), budget(10));
        let fail = || CallAttempts::new(Some(&policy), &budget).failed(Code::Unavailable, None);

        let allowed = (0..10).filter(|_| fail().is_some()).count();

        assert_eq!(allowed, 4, "the fifth failure leaves half");
        assert_eq!(budget.withheld(), 6);
        let attempts = CallAttempts::new(Some(&policy), &budget);
        (0..59).for_each(|_| attempts.committed(Code::Ok));
        assert_eq!(fail(), None, "5.9 tokens less one are below half");
        (0..12).for_each(|_| attempts.committed(Code::Ok));
        assert_ne!(fail(), None, "6.1 tokens less one are more than half");
    }

    #[test]
    fn pushback_sets_the_exact_wait() {
        let (policy, budget) = (policy(), budget(100));
        let mut attempts = CallAttempts::new(Some(&policy), &budget);
        attempts.failed(Code::Unavailable, None);

        let wait = attempts.failed(Code::Unavailable, pushback("7"));

        assert_eq!(wait, Some(Duration::from_millis(7)));
        let next = attempts.failed(Code::Unavailable, None).unwrap();
        assert!(next <= Duration::from_millis(120), "begins anew: {next:?}");
    }

    #[test]
    fn negative_or_invalid_pushback_forbids_the_retry() {
        for value in ["-1", "soon", "", "1.5", "99999999999"] {
            let (policy, budget) = (policy(), budget(100));
            let mut attempts = CallAttempts::new(Some(&policy), &budget);

            let wait = attempts.failed(Code::Unavailable, pushback(value));

            assert_eq!(wait, None, "{value:?}");
            assert_eq!(budget.tokens.load(Ordering::Relaxed), 99 * TOKEN);
        }
    }

    proptest! {
        #[test]
        fn tokens_stay_within_the_bucket(codes in prop::collection::vec(any::<bool>(), 0..200)) {
            let (policy, budget) = (policy(), budget(3));
            for is_success in codes {
                let mut attempts = CallAttempts::new(Some(&policy), &budget);
                if is_success {
                    attempts.committed(Code::Ok);
                } else {
                    attempts.failed(Code::Unavailable, None);
                }
                let tokens = budget.tokens.load(Ordering::Relaxed);
                prop_assert!((0..=3 * TOKEN).contains(&tokens));
            }
        }
    }
}
