//! Fair shares: how many calls a key, such as a customer, may make, so that one who floods slows nobody else.
//!
//! Each key has a bucket of its own (the generic cell rate algorithm): it allows a burst, and is refilled at a steady
//! rate. Where there is no limit, everything is allowed and nothing is remembered.
//!
//! What is remembered is bounded: a key whose bucket has been full again for a moment is like one never seen, and is
//! forgotten. With one call per second for each key this leaves at most the keys of the last two seconds, and with a
//! higher rate fewer.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use service::config::Settings;

/// Keys that are worth no cleaning up: some 100 KiB.
const FEW_KEYS: usize = 1_024;

/// Counting the keys locks every part of the map for a moment; it is done once in so many calls.
const CALLS_PER_COUNT: usize = 64;

/// Above this the time between two calls would be below the microsecond.
const MAX_RATE: u32 = 1_000_000;

/// Twice the largest rate, as by default.
const MAX_BURST: u32 = 2 * MAX_RATE;

/// The share of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerRateLimitConfig {
    /// Calls per second in the long run.
    pub rate: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

impl CustomerRateLimitConfig {
    /// Reads the settings; `None` if there is to be no limit.
    pub fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let rate: Option<u32> = settings.optional(
            "CUSTOMER_RATE",
            "calls per second that each customer may make in the long run, in this process; more are refused with RESOURCE_EXHAUSTED; unset: no limit",
        );
        let burst: Option<u32> = settings.optional(
            "CUSTOMER_BURST",
            "calls that a customer may make at once after a pause; twice CUSTOMER_RATE if unset",
        );
        let Some(rate) = rate else {
            if burst.is_some() {
                settings.reject(
                    "CUSTOMER_BURST",
                    "has no effect unless CUSTOMER_RATE is set",
                );
            }
            return None;
        };
        let burst = burst.unwrap_or(rate.saturating_mul(2));
        Some(Self {
            rate: bounded(settings, "CUSTOMER_RATE", rate, MAX_RATE)?,
            burst: bounded(settings, "CUSTOMER_BURST", burst, MAX_BURST)?,
        })
    }
}

fn bounded(
    settings: &mut Settings<'_>,
    name: &'static str,
    value: u32,
    most: u32,
) -> Option<NonZeroU32> {
    if !(1..=most).contains(&value) {
        settings.reject(name, format!("must be 1 to {most}"));
    }
    NonZeroU32::new(value)
}

/// Counts calls by key.
#[derive(Debug)]
pub struct CustomerRateLimit<C: Clock = DefaultClock> {
    buckets: Option<Buckets<C>>,
}

type Limiter<C> =
    RateLimiter<String, DashMapStateStore<String>, C, NoOpMiddleware<<C as Clock>::Instant>>;

#[derive(Debug)]
struct Buckets<C: Clock> {
    limiter: Limiter<C>,
    calls: AtomicUsize,
    /// So many keys are cleaned up: twice what was left the last time, so that each call pays for a few keys only.
    clean_up_at: AtomicUsize,
}

impl CustomerRateLimit {
    /// Buckets of this size, or no limit.
    pub fn new(config: Option<CustomerRateLimitConfig>) -> Self {
        Self::with_clock(config, DefaultClock::default())
    }
}

impl<C: Clock> CustomerRateLimit<C> {
    fn with_clock(config: Option<CustomerRateLimitConfig>, clock: C) -> Self {
        let buckets = config.map(|config| Buckets {
            limiter: RateLimiter::dashmap_with_clock(quota(config), clock),
            calls: AtomicUsize::new(0),
            clean_up_at: AtomicUsize::new(FEW_KEYS),
        });
        Self { buckets }
    }

    /// Counts one call of this key.
    ///
    /// # Errors
    /// The time until its next call will be let through, when its share is used up.
    pub fn check(&self, key: &str) -> Result<(), Duration> {
        match &self.buckets {
            Some(buckets) => buckets.check(key),
            None => Ok(()),
        }
    }
}

fn quota(config: CustomerRateLimitConfig) -> Quota {
    Quota::per_second(config.rate).allow_burst(config.burst)
}

impl<C: Clock> Buckets<C> {
    fn check(&self, key: &str) -> Result<(), Duration> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call.is_multiple_of(CALLS_PER_COUNT) {
            self.clean_up_if_many();
        }
        let checked = self.limiter.check_key(&key.to_owned());
        checked.map_err(|until| until.wait_time_from(self.limiter.clock().now()))
    }

    fn clean_up_if_many(&self) {
        let limit = self.clean_up_at.load(Ordering::Relaxed);
        if self.limiter.len() < limit {
            return;
        }
        // One of the callers does it; the others go on.
        let taken = self.clean_up_at.compare_exchange(
            limit,
            usize::MAX,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return;
        }
        self.limiter.retain_recent();
        let left = self.limiter.len();
        let next = left.saturating_mul(2).max(FEW_KEYS);
        self.clean_up_at.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn config(rate: u32, burst: u32) -> CustomerRateLimitConfig {
        CustomerRateLimitConfig {
            rate: NonZeroU32::new(rate).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    fn share(rate: u32, burst: u32) -> (CustomerRateLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let share = CustomerRateLimit::with_clock(Some(config(rate, burst)), clock.clone());
        (share, clock)
    }

    #[test]
    fn who_floods_is_told_when_to_come_again_and_slows_nobody() {
        let (share, clock) = share(10, 20);

        let let_through = (0..1_000).filter(|_| share.check("17850").is_ok()).count();
        let wait = share.check("17850").unwrap_err();

        assert_eq!(let_through, 20);
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(share.check("13047"), Ok(()));
        clock.advance(wait - Duration::from_millis(1));
        assert_eq!(share.check("17850"), Err(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(share.check("17850"), Ok(()));
    }

    #[test]
    fn many_customers_leave_no_more_behind_than_two_seconds_of_calls() {
        let (share, clock) = share(1, 2);
        let buckets = share.buckets.as_ref().unwrap();
        let calls_per_second = 10_000;
        let mut most = 0;

        for customer in 0..20 * calls_per_second {
            assert_eq!(share.check(&format!("customer-{customer}")), Ok(()));
            clock.advance(Duration::from_secs(1) / calls_per_second);
            most = most.max(buckets.limiter.len());
        }

        // Twice, because that is when the next clean-up is due.
        let bound = 2 * 2 * calls_per_second as usize + 4 * CALLS_PER_COUNT;
        assert!(most <= bound, "{most}");
    }

    #[test]
    fn a_clean_up_forgives_nobody() {
        let (share, clock) = share(1, 5);
        while share.check("17850").is_ok() {}

        for customer in 0..10 * FEW_KEYS {
            share.check(&format!("customer-{customer}")).unwrap();
            clock.advance(Duration::from_micros(340));
        }

        // Three and a half seconds have refilled three calls of five.
        let let_through = (0..5).filter(|_| share.check("17850").is_ok()).count();
        assert_eq!(let_through, 3);
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let share = CustomerRateLimit::new(None);

        assert!((0..10_000).all(|_| share.check("17850").is_ok()));
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Option<CustomerRateLimitConfig>, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let source: BTreeMap<_, _> = owned.collect();
        let mut settings = Settings::new(&source);
        let read = CustomerRateLimitConfig::read(&mut settings);
        settings.finish(read).map_err(|error| error.to_string())
    }

    #[test]
    fn the_burst_is_twice_the_rate_unless_it_is_set() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("CUSTOMER_RATE", "5")]), Ok(Some(config(5, 10))));
        assert_eq!(
            read(&[("CUSTOMER_RATE", "5"), ("CUSTOMER_BURST", "1")]),
            Ok(Some(config(5, 1)))
        );
        let most = MAX_RATE.to_string();
        assert!(read(&[("CUSTOMER_RATE", &most)]).is_ok());
    }

    #[test]
    fn a_limit_that_is_none_is_refused() {
        for pairs in [
            &[("CUSTOMER_RATE", "0")][..],
            &[("CUSTOMER_RATE", "1000001")],
            &[("CUSTOMER_RATE", "5"), ("CUSTOMER_BURST", "0")],
            &[("CUSTOMER_BURST", "5")],
        ] {
            assert!(read(pairs).is_err(), "{pairs:?}");
        }
    }
}
