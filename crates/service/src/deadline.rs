//! Deadlines: the moment by which a call must be answered, from the client's `grpc-timeout` on through everything that is
//! done for the call.
//!
//! A deadline is a moment and not a duration, so that it cannot grow on the way: each step takes what is left of it, or
//! less. Work with no time left is not begun. Across Kafka it does not travel: what is accepted has no deadline.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// The header in which gRPC carries what is left of a deadline ("gRPC over HTTP/2").
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Most digits of a `grpc-timeout`, by its grammar.
const MAX_DIGITS: usize = 8;

/// The moment by which an answer must be there, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct DeadlineExceeded;

impl Deadline {
    /// There is all the time in the world: for what nobody waits for.
    pub const NEVER: Self = Self(None);

    /// This moment.
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// So long from now.
    pub fn within(limit: Duration) -> Self {
        // A limit beyond what the clock can tell is none.
        Self(Instant::now().checked_add(limit))
    }

    /// The earlier of the two.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(another)) => Self(Some(one.min(another))),
            (one, another) => Self(one.or(another)),
        }
    }

    /// This much earlier, so that there is time left for what has to follow.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        // Earlier than the clock can tell is long past.
        Self(
            self.0
                .map(|moment| moment.checked_sub(reserve).unwrap_or_else(Instant::now)),
        )
    }

    /// What is left of it: nothing once it has passed, `None` if there is no deadline.
    pub fn remaining(self) -> Option<Duration> {
        let moment = self.0?;
        Some(moment.saturating_duration_since(Instant::now()))
    }

    /// Whether no time is left.
    pub fn has_passed(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Does the work, and gives it up when the deadline passes. With no time left it is not begun.
    ///
    /// # Errors
    /// [`DeadlineExceeded`] when the deadline came first.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, DeadlineExceeded> {
        if self.has_passed() {
            return Err(DeadlineExceeded);
        }
        match self.0 {
            Some(moment) => {
                let done = tokio::time::timeout_at(moment, work).await;
                done.map_err(|_| DeadlineExceeded)
            }
            None => Ok(work.await),
        }
    }
}

/// Why a `grpc-timeout` cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 8 digits and one of the units H, M, S, m, u, n")]
pub struct MalformedTimeout;

/// Reads a `grpc-timeout`: one to eight digits and a unit.
///
/// # Errors
/// [`MalformedTimeout`] for everything else.
pub fn parse_timeout(value: &HeaderValue) -> Result<Duration, MalformedTimeout> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(MalformedTimeout)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedTimeout);
    }
    let amount = digits
        .iter()
        .fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(amount * 3_600)),
        b'M' => Ok(Duration::from_secs(amount * 60)),
        b'S' => Ok(Duration::from_secs(amount)),
        b'm' => Ok(Duration::from_millis(amount)),
        b'u' => Ok(Duration::from_micros(amount)),
        b'n' => Ok(Duration::from_nanos(amount)),
        _ => Err(MalformedTimeout),
    }
}

/// Writes a `grpc-timeout` in the finest unit that eight digits can hold, rounded down: the next one must not believe to
/// have more time than there is.
pub fn format_timeout(timeout: Duration) -> HeaderValue {
    let units: [(u128, char); 5] = [
        (timeout.as_nanos(), 'n'),
        (timeout.as_micros(), 'u'),
        (timeout.as_millis(), 'm'),
        (u128::from(timeout.as_secs()), 'S'),
        (u128::from(timeout.as_secs() / 60), 'M'),
    ];
    let largest = 10_u128.pow(8) - 1;
    let fitting = units.into_iter().find(|(amount, _)| *amount <= largest);
    // 190 years are as good as for ever.
    let (amount, unit) = fitting.unwrap_or((largest, 'M'));
    HeaderValue::try_from(format!("{amount}{unit}"))
        .unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Duration, MalformedTimeout> {
        parse_timeout(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn every_unit_of_the_grammar_is_understood() {
        assert_eq!(parse("2H"), Ok(Duration::from_secs(7_200)));
        assert_eq!(parse("3M"), Ok(Duration::from_secs(180)));
        assert_eq!(parse("5S"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("82m"), Ok(Duration::from_millis(82)));
        assert_eq!(parse("99999999u"), Ok(Duration::from_micros(99_999_999)));
        assert_eq!(parse("0n"), Ok(Duration::ZERO));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "123456789S",
            "1SS",
            "x",
        ] {
            assert_eq!(parse(text), Err(MalformedTimeout), "{text:?}");
        }
    }

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
    async fn work_without_time_is_not_begun() {
        let passed = Deadline::within(Duration::ZERO);
        let mut begun = false;

        let done = passed.bound(async { begun = true }).await;

        assert_eq!(done, Err(DeadlineExceeded));
        assert!(!begun);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_given_up_in_time() {
        let begun = Instant::now();

        let done = Deadline::within(Duration::from_millis(100)).bound(std::future::pending::<()>());

        assert_eq!(done.await, Err(DeadlineExceeded));
        assert_eq!(begun.elapsed(), Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_never_more(nanos in 0..5_000_000_000_000_000_000_u64) {
            let timeout = Duration::from_nanos(nanos);

            let read = parse_timeout(&format_timeout(timeout)).unwrap();

            prop_assert!(read <= timeout);
            // What follows eight digits is lost: at most one part in a hundred thousand.
            prop_assert!(timeout - read <= timeout / 100_000);
        }

        #[test]
        fn no_header_makes_the_reader_panic(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse_timeout(&value);
            }
        }
    }
}
