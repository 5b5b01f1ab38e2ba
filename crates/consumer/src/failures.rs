//! What went wrong with one event so far.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::BoxError;
use crate::retry_store::{Fault, FaultClass};
use service::error_chain::ErrorChain;

/// A handler that panics on an event this often is taken to panic on it always.
const MAX_PANICS: u32 = 3;

/// A message is for a person to read: longer ones are cut. In bytes.
const MAX_MESSAGE: usize = 1_024;

/// All that is told of a panic.
pub(super) const PANICKED: &str = "the handler panicked";

/// The failures of one event.
#[derive(Debug, Default)]
pub(super) struct Failures {
    attempts: u32,
    panics: u32,
    message: String,
    /// In unix milliseconds.
    first_failed_at: Option<i64>,
    last_failed_at: i64,
    /// On the clock that nobody sets, for the time in which an event is tried again.
    failing_since: Option<Instant>,
}

impl Failures {
    /// Goes on from what was wrong before.
    pub(super) fn after(fault: Option<&Fault>) -> Self {
        Self {
            attempts: fault.map_or(0, |fault| fault.attempts),
            first_failed_at: fault.map(|fault| fault.first_failed_at),
            ..Self::default()
        }
    }

    /// Attempts that failed.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// For how long the event has been failing.
    pub(super) fn lasted(&self) -> Duration {
        self.failing_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The time in which the event is tried again begins anew with its next failure.
    pub(super) fn begin_anew(&mut self) {
        self.failing_since = None;
    }

    /// An attempt failed.
    pub(super) fn note(&mut self, cause: &BoxError) {
        self.note_message(&ErrorChain(cause.as_ref()).to_string());
    }

    /// The handler panicked; whether it is taken to do so always. What it said is not kept: a panic speaks to
    /// programmers, and may quote what it had in hand.
    pub(super) fn note_panic(&mut self) -> bool {
        self.note_message(PANICKED);
        self.panics += 1;
        self.panics >= MAX_PANICS
    }

    /// The process did not survive so many attempts.
    pub(super) fn note_deaths(&mut self, attempts: u32) {
        self.note_message("the process ended each time this event was in work");
        self.attempts = attempts;
    }

    /// The whole story, for who decides about the event.
    pub(super) fn fault(&self, class: FaultClass) -> Fault {
        Fault {
            class,
            message: self.message.clone(),
            attempts: self.attempts,
            first_failed_at: self.first_failed_at.unwrap_or(self.last_failed_at),
            last_failed_at: self.last_failed_at,
        }
    }

    fn note_message(&mut self, message: &str) {
        self.attempts = self.attempts.saturating_add(1);
        self.message = bounded(message);
        self.last_failed_at = unix_milliseconds();
        self.first_failed_at.get_or_insert(self.last_failed_at);
        self.failing_since.get_or_insert_with(Instant::now);
    }
}

/// Control characters have no place in a line for a person, and PostgreSQL stores no NUL.
fn bounded(message: &str) -> String {
    let mut line: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE)
        .collect();
    line.truncate(line.floor_char_boundary(MAX_MESSAGE));
    line
}

fn unix_milliseconds() -> i64 {
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
    fn a_fault_tells_the_last_cause_and_both_times() {
        let mut failures = Failures::default();
        failures.note(&cause("first"));
        failures.note(&cause("second"));

        let fault = failures.fault(FaultClass::RetriesSpent);

        assert_eq!(fault.message, "second");
        assert_eq!(fault.attempts, 2);
        assert!(fault.first_failed_at > 0 && fault.first_failed_at <= fault.last_failed_at);
    }

    #[test]
    fn what_failed_before_is_counted_on() {
        let before = Fault {
            class: FaultClass::RetriesSpent,
            message: "before".to_owned(),
            attempts: 7,
            first_failed_at: 5,
            last_failed_at: 6,
        };
        let mut failures = Failures::after(Some(&before));

        failures.note(&cause("now"));

        let fault = failures.fault(FaultClass::Rejected);
        assert_eq!((fault.attempts, fault.first_failed_at), (8, 5));
        assert!(fault.last_failed_at > 6);
    }

    #[test]
    fn the_third_panic_is_one_too_many() {
        let mut failures = Failures::default();

        let verdicts = [(); 3].map(|()| failures.note_panic());

        assert_eq!(verdicts, [false, false, true]);
        assert_eq!(failures.fault(FaultClass::Panicked).message, PANICKED);
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let mut failures = Failures::default();

        failures.note(&cause(&format!("a\0b\nc{}", "ü".repeat(2_000))));

        let message = failures.fault(FaultClass::Rejected).message;
        assert!(message.starts_with("a b c"));
        assert!(message.len() <= MAX_MESSAGE);
    }

    #[test]
    fn the_time_of_failing_begins_with_the_first_failure_and_can_begin_anew() {
        const LONG: Duration = Duration::from_secs(60);
        let mut failures = Failures::default();
        assert_eq!(failures.lasted(), Duration::ZERO);

        failures.note(&cause("away"));
        failures.failing_since = Instant::now().checked_sub(LONG);
        failures.note(&cause("away"));
        assert!(failures.lasted() >= LONG);

        failures.begin_anew();
        failures.note(&cause("away"));
        assert!(failures.lasted() < LONG);
    }
}
