//! Deadlines: the instant by which a call must be answered, passed to every step of the call.
//!
//! A deadline is an instant, not a duration, so that it cannot be extended: each step uses the remaining time or less.
//! Work without remaining time is not started. A deadline is not propagated through Kafka: an accepted order has none.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The instant by which a call must be answered, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct DeadlineExceeded;

impl Deadline {
    /// No deadline, for work without a waiting caller.
    pub const NEVER: Self = Self(None);

    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    pub fn within(limit: Duration) -> Self {
        Self::after(Instant::now(), limit)
    }

    /// `limit` after `moment`. Beyond the range of the clock it is no deadline.
    pub fn after(moment: Instant, limit: Duration) -> Self {
        Self(moment.checked_add(limit))
    }

    /// The earlier of the two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(another)) => Self(Some(one.min(another))),
            (one, another) => Self(one.or(another)),
        }
    }

    /// Moves the deadline earlier by `reserve`, which leaves that time for a later step.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        // Before the range of the clock: it has passed.
        Self(
            self.0
                .map(|moment| moment.checked_sub(reserve).unwrap_or_else(Instant::now)),
        )
    }

    /// The remaining time: zero once it has passed, `None` without a deadline.
    pub fn remaining(self) -> Option<Duration> {
        let moment = self.0?;
        Some(moment.saturating_duration_since(Instant::now()))
    }

    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Runs `work` and cancels it when the deadline passes. Without remaining time it is not started.
    ///
    /// The clock is read after each poll: a timer counts from when it is first polled, after the work, and on a busy
    /// machine it fires milliseconds late. Another timer of the same call, with a later deadline, could end first.
    ///
    /// # Errors
    /// [`DeadlineExceeded`] when the deadline passes first.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, DeadlineExceeded> {
        let Some(moment) = self.0 else {
            return Ok(work.await);
        };
        if self.has_passed() {
            return Err(DeadlineExceeded);
        }
        let mut work = pin!(work);
        let mut timer = pin!(sleep_until(moment));
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            if self.has_passed() || timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(DeadlineExceeded));
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_counts_and_only_shrinks() {
        let near = Deadline::within(Duration::from_secs(1));
        let far = Deadline::within(Duration::from_secs(2));

        assert_eq!(near.earlier(far), near);
        assert_eq!(Deadline::NEVER.earlier(far), far);
        assert_eq!(far.less(Duration::from_secs(1)), near);
        assert_eq!(near.remaining(), Some(Duration::from_secs(1)));
        assert_eq!(Deadline::NEVER.remaining(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_remaining_time_is_not_started() {
        let passed = Deadline::within(Duration::ZERO);
        let mut begun = false;

        let done = passed.bound(async { begun = true }).await;

        assert_eq!(done, Err(DeadlineExceeded));
        assert!(!begun);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_cancelled_when_the_deadline_passes() {
        let begun = Instant::now();

        let done = Deadline::within(Duration::from_millis(100)).bound(std::future::pending::<()>());

        assert_eq!(done.await, Err(DeadlineExceeded));
        assert_eq!(begun.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test]
    async fn a_deadline_that_passes_while_the_work_is_polled_ends_that_poll() {
        let limit = Duration::from_millis(10);
        let work = poll_fn(|_| {
            std::thread::sleep(2 * limit);
            Poll::<()>::Pending
        });
        let mut bound = pin!(Deadline::within(limit).bound(work));

        let first = poll_fn(|context| Poll::Ready(bound.as_mut().poll(context))).await;

        assert_eq!(first, Poll::Ready(Err(DeadlineExceeded)));
    }
}
