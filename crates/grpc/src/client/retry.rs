//! When a call is made again, and after which wait: gRFC A6, decided without I/O.
//!
//! A repetition must be allowed by the policy of the method, by the server, which can name the wait or forbid it
//! (pushback), and by the [`RetryBudget`], which all calls share: when much fails, repeating would only add to the load
//! that makes it fail.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use super::service_config::{RetryPolicy, Throttling};

/// The header or trailer in which a server says when to come back, in milliseconds.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// A wait is drawn from 0.8 to 1.2 times the backoff, so that callers that failed together do not come back together.
const JITTER: f64 = 0.2;

/// One call that costs a whole token, in thousandths.
const TOKEN: i64 = 1_000;

/// What the server says about coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    /// After this time.
    After(Duration),
    /// Not at all: a negative number, or something else than a number.
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

/// Tokens that failures take and successes bring back; below half of them nothing is repeated.
#[derive(Debug)]
pub(super) struct RetryBudget {
    throttling: Option<Throttling>,
    tokens: AtomicI64,
    repetitions: AtomicU64,
    withheld: AtomicU64,
}

impl RetryBudget {
    pub(super) fn new(throttling: Option<Throttling>) -> Self {
        Self {
            throttling,
            tokens: AtomicI64::new(throttling.map_or(0, |throttling| throttling.max_tokens)),
            repetitions: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
        }
    }

    /// How many calls were repeated.
    pub(super) fn repetitions(&self) -> u64 {
        self.repetitions.load(Ordering::Relaxed)
    }

    /// How many repetitions were left out because too much failed.
    pub(super) fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }

    fn succeeded(&self) {
        if let Some(throttling) = self.throttling {
            self.change(throttling, throttling.token_ratio);
        }
    }

    /// Takes a token; whether a repetition is allowed.
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

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    policy: Option<&'a RetryPolicy>,
    budget: &'a RetryBudget,
    made: u32,
    backoffs: i32,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(policy: Option<&'a RetryPolicy>, budget: &'a RetryBudget) -> Self {
        Self {
            policy,
            budget,
            made: 0,
            backoffs: 0,
        }
    }

    /// How many attempts have failed before the one that is made now.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// An attempt has got an answer that cannot be taken back: only the budget hears of it.
    pub(super) fn committed(&self, code: Code) {
        if code == Code::Ok {
            self.budget.succeeded();
        } else if self.is_retryable(code) {
            self.budget.failed();
        }
    }

    /// An attempt has failed: how long to wait before the next one, `None` if there is none.
    pub(super) fn failed(&mut self, code: Code, pushback: Option<Pushback>) -> Option<Duration> {
        self.made += 1;
        let policy = self.policy?;
        let is_retryable = self.is_retryable(code);
        // A server that does not want to see the call again is as good as one that is away.
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

    /// The repetition is really made.
    pub(super) fn repeats(&self) {
        self.budget.repetitions.fetch_add(1, Ordering::Relaxed);
    }

    fn is_retryable(&self, code: Code) -> bool {
        self.policy
            .is_some_and(|policy| policy.codes.contains(&code))
    }

    fn wait(&mut self, policy: &RetryPolicy, pushback: Option<Pushback>) -> Duration {
        if let Some(Pushback::After(wait)) = pushback {
            // The server has set the pace: its own growth begins anew.
            self.backoffs = 0;
            return wait;
        }
        let backoff = policy.backoff(self.backoffs);
        self.backoffs += 1;
        backoff.mul_f64(1.0 - JITTER + 2.0 * JITTER * rand::random::<f64>())
    }
}

impl RetryPolicy {
    /// The wait before jitter, after so many waits.
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

    fn policy() -> RetryPolicy {
        RetryPolicy {
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
    fn waits_grow_up_to_their_cap_and_end_with_the_last_attempt() {
        let (policy, budget) = (policy(), budget(100));
        let mut attempts = Attempts::new(Some(&policy), &budget);

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
    fn only_the_listed_codes_are_tried_again_and_only_they_cost() {
        let (policy, budget) = (policy(), budget(2));

        let wait = Attempts::new(Some(&policy), &budget).failed(Code::Internal, None);

        assert_eq!(wait, None);
        assert_eq!(budget.tokens.load(Ordering::Relaxed), 2 * TOKEN);
        assert_eq!(
            Attempts::new(None, &budget).failed(Code::Unavailable, None),
            None
        );
    }

    #[test]
    fn below_half_of_its_tokens_nothing_is_tried_again_until_calls_succeed() {
        let (policy, budget) = (policy(), budget(10));
        let fail = || Attempts::new(Some(&policy), &budget).failed(Code::Unavailable, None);

        let allowed = (0..10).filter(|_| fail().is_some()).count();

        assert_eq!(allowed, 4, "the fifth failure leaves half");
        assert_eq!(budget.withheld(), 6);
        let attempts = Attempts::new(Some(&policy), &budget);
        (0..59).for_each(|_| attempts.committed(Code::Ok));
        assert_eq!(fail(), None, "5.9 tokens less one are below half");
        (0..12).for_each(|_| attempts.committed(Code::Ok));
        assert_ne!(fail(), None, "6.1 tokens less one are more than half");
    }

    #[test]
    fn a_server_that_names_the_wait_gets_exactly_this_wait() {
        let (policy, budget) = (policy(), budget(100));
        let mut attempts = Attempts::new(Some(&policy), &budget);
        attempts.failed(Code::Unavailable, None);

        let wait = attempts.failed(Code::Unavailable, pushback("7"));

        assert_eq!(wait, Some(Duration::from_millis(7)));
        let next = attempts.failed(Code::Unavailable, None).unwrap();
        assert!(next <= Duration::from_millis(120), "begins anew: {next:?}");
    }

    #[test]
    fn a_server_that_forbids_it_is_not_called_again() {
        for value in ["-1", "soon", "", "1.5", "99999999999"] {
            let (policy, budget) = (policy(), budget(100));
            let mut attempts = Attempts::new(Some(&policy), &budget);

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
                let mut attempts = Attempts::new(Some(&policy), &budget);
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
