//! Retry: capped exponential backoff with full jitter, until a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status};

use super::failure::CallFailure;

/// Upper bound of the first pause: a slow commit deserves a quick retry.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Upper bound of all pauses: a restarted service is reached within about a second.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Timeout of one attempt. A confirmation takes tens of milliseconds; one that takes seconds is stuck.
const ATTEMPT: Duration = Duration::from_secs(10);

/// Exponential backoff between attempts.
#[derive(Clone, Debug, Default)]
pub struct RetryBackoff {
    attempts: u32,
}

impl RetryBackoff {
    /// The next pause: random between zero and the exponential bound, so that callers that failed together do not retry
    /// together.
    pub fn next_pause(&mut self) -> Duration {
        let bound = self.bound();
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(rand::random::<f64>())
    }

    fn bound(&self) -> Duration {
        let factor = 2_u32.saturating_pow(self.attempts);
        FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE)
    }
}

/// Retries until there is a final answer: success, a permanent error, or the deadline.
pub async fn until_answered<T, F>(
    deadline: Instant,
    mut call: impl FnMut() -> F,
) -> Result<T, CallFailure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut backoff = RetryBackoff::default();
    loop {
        let attempt = ATTEMPT.min(deadline.saturating_duration_since(Instant::now()));
        let failure = match within(attempt, call()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let pause = backoff
            .next_pause()
            .max(failure.retry_delay.unwrap_or_default());
        if !failure.is_transient() || Instant::now() + pause >= deadline {
            return Err(failure);
        }
        sleep(pause).await;
    }
}

/// One attempt with a timeout that also covers connecting and waiting for a free stream.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallFailure> {
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(CallFailure::timed_out(limit)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tonic::Code;

    use super::*;

    fn in_an_hour() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_retried_until_it_ends() {
        let attempts = Cell::new(0);

        let answer = until_answered(in_an_hour(), || async {
            attempts.set(attempts.get() + 1);
            match attempts.get() {
                1..=20 => Err(Status::unavailable("down")),
                _ => Ok(Response::new("up")),
            }
        });

        assert_eq!(answer.await, Ok("up"));
        assert_eq!(attempts.get(), 21);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_retried() {
        let attempts = Cell::new(0);

        let answer = until_answered(in_an_hour(), || async {
            attempts.set(attempts.get() + 1);
            Err::<Response<()>, _>(Status::not_found("no such order"))
        });

        assert_eq!(answer.await.unwrap_err().code, Code::NotFound);
        assert_eq!(attempts.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_the_retries() {
        let deadline = Instant::now() + Duration::from_secs(30);

        let down = until_answered(deadline, || async {
            Err::<Response<()>, _>(Status::unavailable("down"))
        });
        assert_eq!(down.await.unwrap_err().code, Code::Unavailable);
        let stuck = until_answered(
            deadline,
            std::future::pending::<Result<Response<()>, Status>>,
        );
        assert_eq!(stuck.await.unwrap_err().code, Code::DeadlineExceeded);

        assert!(Instant::now() <= deadline);
    }

    #[test]
    fn pauses_grow_up_to_a_cap() {
        let mut backoff = RetryBackoff::default();

        let bounds: Vec<_> = (0..10)
            .map(|_| {
                let bound = backoff.bound();
                assert!(backoff.next_pause() <= bound);
                bound.as_millis()
            })
            .collect();

        assert_eq!(bounds, [20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]);
    }
}
