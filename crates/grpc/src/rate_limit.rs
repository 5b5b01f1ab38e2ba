//! Rate limit per key, such as a customer, so that one customer's flood does not slow the others.
//!
//! Each key has its own bucket (generic cell rate algorithm): it allows a burst and refills at a steady rate. Without a
//! configured limit every call is allowed and no state is kept.
//!
//! Memory is bounded: a key whose bucket is full again is removed. At one call per second and key at max the keys of
//! the last two seconds remain; with a higher rate, fewer.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use service::config::Settings;

/// Below this number of keys there is no clean-up: about 100 KiB.
const FEW_KEYS: usize = 1_024;

/// Counting the keys locks each shard of the map for a moment; done once in this many calls.
const CALLS_PER_COUNT: usize = 64;

/// Above this the interval between two calls would be less than a microsecond.
const MAX_RATE: u32 = 1_000_000;

/// Twice the largest rate, as the default.
const MAX_BURST: u32 = 2 * MAX_RATE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomerRateLimitConfig {
    /// Sustained calls per second.
    pub rate: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

impl CustomerRateLimitConfig {
    /// `None`: no limit.
    pub fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let rate: Option<u32> = settings.optional(
            "CUSTOMER_RATE",
            "sustained calls per second per customer in this process; more are rejected with RESOURCE_EXHAUSTED; unset: no limit",
        );
        let burst: Option<u32> = settings.optional(
            "CUSTOMER_BURST",
            "burst of calls per customer after a pause; twice CUSTOMER_RATE if unset",
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
        let burst = burst.map(|burst| bounded(settings, "CUSTOMER_BURST", burst, MAX_BURST));
        let rate = bounded(settings, "CUSTOMER_RATE", rate, MAX_RATE)?;
        let twice = NonZeroU32::saturating_add(rate, rate.get());
        let burst = burst.unwrap_or(Some(twice))?;
        Some(Self { rate, burst })
    }
}

fn bounded(
    settings: &mut Settings<'_>,
    name: &'static str,
    value: u32,
    max: u32,
) -> Option<NonZeroU32> {
    if !(1..=max).contains(&value) {
        settings.reject(name, format!("must be 1 to {max}"));
        return None;
    }
    NonZeroU32::new(value)
}

/// Rate limit by key.
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
    /// Number of keys that triggers a clean-up: twice what the last one left, so that its cost per call is constant.
    clean_up_at: AtomicUsize,
}

impl CustomerRateLimit {
    pub fn new(config: Option<CustomerRateLimitConfig>) -> Self {
        Self::with_clock(config, DefaultClock::default())
    }
}

impl<C: Clock> CustomerRateLimit<C> {
    fn with_clock(config: Option<CustomerRateLimitConfig>, clock: C) -> Self {
        let buckets = config.map(|config| Buckets {
            limiter: RateLimiter::dashmap_with_clock(
                Quota::per_second(config.rate).allow_burst(config.burst),
                clock,
            ),
            calls: AtomicUsize::new(0),
            clean_up_at: AtomicUsize::new(FEW_KEYS),
        });
        Self { buckets }
    }

    /// Counts one call of this key.
    ///
    /// # Errors
    /// The time until the next call is allowed, if the limit is exceeded.
    pub fn check(&self, key: &str) -> Result<(), Duration> {
        match &self.buckets {
            Some(buckets) => buckets.check(key),
            None => Ok(()),
        }
    }
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
        let taken = || {
            let (old, new) = (limit, usize::MAX);
            let order = Ordering::Relaxed;
            self.clean_up_at.compare_exchange(old, new, order, order)
        };
        // One caller cleans up; the others continue.
        if self.limiter.len() < limit || taken().is_err() {
            return;
        }
        self.limiter.retain_recent();
        let next = self.limiter.len().saturating_mul(2).max(FEW_KEYS);
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

    fn limit(rate: u32, burst: u32) -> (CustomerRateLimit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = CustomerRateLimit::with_clock(Some(config(rate, burst)), clock.clone());
        (limit, clock)
    }

    #[test]
    fn a_flooding_customer_gets_a_wait_time_and_others_are_not_limited() {
        let (limit, clock) = limit(10, 20);

        let let_through = (0..1_000).filter(|_| limit.check("17850").is_ok()).count();
        let wait = limit.check("17850").unwrap_err();

        assert_eq!(let_through, 20);
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(limit.check("13047"), Ok(()));
        clock.advance(wait - Duration::from_millis(1));
        assert_eq!(limit.check("17850"), Err(Duration::from_millis(1)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.check("17850"), Ok(()));
    }

    #[test]
    fn at_most_the_keys_of_two_seconds_are_kept() {
        let (limit, clock) = limit(1, 2);
        let buckets = limit.buckets.as_ref().unwrap();
        let calls_per_second = 10_000;
        let mut max = 0;

        for customer in 0..20 * calls_per_second {
            assert_eq!(limit.check(&format!("customer-{customer}")), Ok(()));
            clock.advance(Duration::from_secs(1) / calls_per_second);
            max = max.max(buckets.limiter.len());
        }

        // Twice, because that is when the next clean-up is due.
        let bound = 2 * 2 * calls_per_second as usize + 4 * CALLS_PER_COUNT;
        assert!(max <= bound, "{max}");
    }

    #[test]
    fn a_clean_up_keeps_buckets_that_are_not_full() {
        let (limit, clock) = limit(1, 5);
        while limit.check("17850").is_ok() {}

        for customer in 0..10 * FEW_KEYS {
            limit.check(&format!("customer-{customer}")).unwrap();
            clock.advance(Duration::from_micros(340));
        }

        // 3.5 s have refilled three calls of five.
        let let_through = (0..5).filter(|_| limit.check("17850").is_ok()).count();
        assert_eq!(let_through, 3);
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let limit = CustomerRateLimit::new(None);

        assert!((0..10_000).all(|_| limit.check("17850").is_ok()));
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
        let max = MAX_RATE.to_string();
        assert!(read(&[("CUSTOMER_RATE", &max)]).is_ok());
    }

    #[test]
    fn a_limit_of_zero_or_out_of_range_is_a_mistake() {
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
