//! The failures of one event so far.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::handler::BoxError;
use crate::retry_store::{Fault, FaultClass};
use service::error_chain::ErrorChain;

/// After this many panics on an event the handler is assumed to panic on it always.
const MAX_PANICS: u32 = 3;

/// In bytes. Longer messages are cut: they are for an operator to read.
const MAX_MESSAGE: usize = 1_024;

/// The message of a panic is not kept: it may quote the payload.
pub(crate) const PANICKED: &str = "the handler panicked";

/// The failures of one event.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Failed attempts.
    pub(crate) attempts: u32,
    panics: u32,
    message: String,
    /// In unix milliseconds.
    first_failed_at: Option<i64>,
    last_failed_at: i64,
    /// On the monotonic clock, for the retry time.
    failing_since: Option<Instant>,
}

impl Failures {
    /// Continues from a fault in the retry store.
    pub(crate) fn after(fault: Option<&Fault>) -> Self {
        Self {
            attempts: fault.map_or(0, |fault| fault.attempts),
            first_failed_at: fault.map(|fault| fault.first_failed_at),
            ..Self::default()
        }
    }

    /// Time since the first failure.
    pub(crate) fn lasted(&self) -> Duration {
        self.failing_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The retry time counts from the next failure.
    pub(crate) fn restart_retry_time(&mut self) {
        self.failing_since = None;
    }

    pub(crate) fn add(&mut self, cause: &BoxError) {
        self.count_failure(&ErrorChain(cause.as_ref()).to_string());
    }

    /// The handler panicked; `true` after [`MAX_PANICS`].
    pub(crate) fn add_panic(&mut self) -> bool {
        self.count_failure(PANICKED);
        self.panics += 1;
        self.panics >= MAX_PANICS
    }

    /// The process died in each of these attempts.
    pub(crate) fn add_deaths(&mut self, attempts: u32) {
        self.count_failure("the process ended each time this event was in flight");
        self.attempts = attempts;
    }

    pub(crate) fn fault(&self, class: FaultClass) -> Fault {
        Fault {
            class,
            message: self.message.clone(),
            attempts: self.attempts,
            first_failed_at: self.first_failed_at.unwrap_or(self.last_failed_at),
            last_failed_at: self.last_failed_at,
        }
    }

    fn count_failure(&mut self, message: &str) {
        self.attempts = self.attempts.saturating_add(1);
        self.message = bounded(message);
        self.last_failed_at = unix_milliseconds();
        self.first_failed_at.get_or_insert(self.last_failed_at);
        self.failing_since.get_or_insert_with(Instant::now);
    }
}

/// One line without control characters; PostgreSQL stores no NUL.
fn bounded(message: &str) -> String {
    let mut line: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE)
        .collect();
    line.truncate(line.floor_char_boundary(MAX_MESSAGE));
    line
}

pub(crate) fn unix_milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> BoxError {
        text.into()
    }

    #[test]
    fn a_fault_has_the_last_cause_and_both_times() {
        let mut failures = Failures::default();
        failures.add(&cause("first"));
        failures.add(&cause("second"));

        let fault = failures.fault(FaultClass::RetriesSpent);

        assert_eq!(fault.message, "second");
        assert_eq!(fault.attempts, 2);
        assert!(fault.first_failed_at > 0 && fault.first_failed_at <= fault.last_failed_at);
    }

    #[test]
    fn attempts_of_an_earlier_fault_are_counted_on() {
        let before = Fault {
            class: FaultClass::RetriesSpent,
            message: "before".to_owned(),
            attempts: 7,
            first_failed_at: 5,
            last_failed_at: 6,
        };
        let mut failures = Failures::after(Some(&before));

        failures.add(&cause("now"));

        let fault = failures.fault(FaultClass::Rejected);
        assert_eq!((fault.attempts, fault.first_failed_at), (8, 5));
        assert!(fault.last_failed_at > 6);
    }

    #[test]
    fn the_third_panic_is_the_last() {
        let mut failures = Failures::default();

        let verdicts = [(); 3].map(|()| failures.add_panic());

        assert_eq!(verdicts, [false, false, true]);
        assert_eq!(failures.fault(FaultClass::Panicked).message, PANICKED);
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let mut failures = Failures::default();

        failures.add(&cause(&format!("a\0b\nc{}", "ü".repeat(2_000))));

        let message = failures.fault(FaultClass::Rejected).message;
        assert!(message.starts_with("a b c"));
        assert!(message.len() <= MAX_MESSAGE);
    }

    #[test]
    fn the_retry_time_begins_with_the_first_failure_and_can_be_restarted() {
        const LONG: Duration = Duration::from_secs(60);
        let mut failures = Failures::default();
        assert_eq!(failures.lasted(), Duration::ZERO);

        failures.add(&cause("away"));
        failures.failing_since = Instant::now().checked_sub(LONG);
        failures.add(&cause("away"));
        assert!(failures.lasted() >= LONG);

        failures.restart_retry_time();
        failures.add(&cause("away"));
        assert!(failures.lasted() < LONG);
    }
}
