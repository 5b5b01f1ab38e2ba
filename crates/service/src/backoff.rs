//! Retry delays: exponential backoff with full jitter.
//!
//! Each delay is drawn uniformly between zero and the exponential bound, so that callers that failed together do not
//! retry together (AWS Architecture Blog, "Exponential Backoff And Jitter").

use std::time::Duration;

/// A schedule of retry delays.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Bound of the first delay; it doubles with each attempt.
    pub initial: Duration,
    /// Maximum delay.
    pub cap: Duration,
}

impl Backoff {
    /// Maximum delay after attempt number `attempt`, counted from 1.
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.cap)
    }

    /// Random delay after attempt number `attempt`, counted from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.bound(attempt).mul_f64(rand::random::<f64>())
    }
}

/// Retries an operation until it succeeds, without an attempt limit; drop the future to stop. `failed` is called before
/// each delay, with the number of the attempt, counted from 1.
pub async fn retry<T, E, F>(
    backoff: Backoff,
    mut operation: impl FnMut() -> F,
    mut failed: impl FnMut(u32, &E),
) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let mut attempt = 0_u32;
    loop {
        match operation().await {
            Ok(done) => return done,
            Err(error) => {
                attempt = attempt.saturating_add(1);
                failed(attempt, &error);
            }
        }
        tokio::time::sleep(backoff.delay(attempt)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(100),
        cap: Duration::from_secs(30),
    };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds = [1, 2, 3, 9, 10, u32::MAX].map(|attempt| BACKOFF.bound(attempt).as_millis());

        assert_eq!(bounds, [100, 200, 400, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn a_delay_stays_below_its_bound() {
        for attempt in 1..20 {
            assert!(BACKOFF.delay(attempt) <= BACKOFF.bound(attempt));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_is_retried_until_it_succeeds_and_every_failure_is_reported() {
        let mut results = [Err("first"), Err("second"), Ok("done")].into_iter();
        let mut reported = Vec::new();

        let done = retry(
            BACKOFF,
            || std::future::ready(results.next().unwrap()),
            |attempt, error: &&str| reported.push((attempt, *error)),
        );

        assert_eq!(done.await, "done");
        assert_eq!(reported, [(1, "first"), (2, "second")]);
    }
}
