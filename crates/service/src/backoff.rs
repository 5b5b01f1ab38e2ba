//! How long to wait before trying again: exponential with full jitter.
//!
//! The wait is drawn evenly from zero up to the exponential bound, so that callers that failed together do not come
//! back together (AWS Architecture Blog, "Exponential Backoff And Jitter").

use std::time::Duration;

/// A schedule of waits.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Bound of the first wait; it doubles from attempt to attempt.
    pub initial: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
}

impl Backoff {
    /// The longest wait after attempt number `attempt`, counted from 1.
    pub fn bound(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.initial.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A wait after attempt number `attempt`, counted from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.bound(attempt).mul_f64(rand::random::<f64>())
    }
}

/// Repeats an operation until it succeeds, with a wait after each failure. For what has no alternative to success; drop
/// the future to give up. `failed` is told each failure with its number from 1, before the wait.
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
    async fn an_operation_is_repeated_until_it_succeeds_and_every_failure_is_told() {
        let mut results = [Err("first"), Err("second"), Ok("done")].into_iter();
        let mut told = Vec::new();

        let done = retry(
            BACKOFF,
            || std::future::ready(results.next().unwrap()),
            |attempt, error: &&str| told.push((attempt, *error)),
        );

        assert_eq!(done.await, "done");
        assert_eq!(told, [(1, "first"), (2, "second")]);
    }
}
