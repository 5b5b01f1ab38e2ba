//! What is known about the sessions of a pool of PostgreSQL connections: whether they are in doubt, and whether their server
//! accepts writes. Every error of a statement is seen here ([`crate::statements`]); `postgres::check` acts on it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::doubts_session;

/// How often a session in use is checked. A failover takes seconds, so a shorter interval finds it hardly earlier.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A session is checked at every use in the first part of each second. Longer than a use takes, so that a session in
/// constant use has one in it; short, so that few uses pay for the check.
const CHECK_WINDOW: Duration = Duration::from_millis(50);

/// The sessions of one pool; clones share what is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// When an error put the sessions in doubt last.
    doubted: Mutex<Option<Instant>>,
    /// Whether the last answer of a server was that it is read-only; each change is logged once.
    read_only: AtomicBool,
}

impl Sessions {
    /// Notes the error of an operation: after some errors every session is checked at its next use.
    pub(crate) fn failed(&self, error: &sqlx::Error) {
        if doubts_session(error) {
            self.doubt();
        }
    }

    pub(crate) fn doubt(&self) {
        *self.doubted() = Some(Instant::now());
    }

    /// Whether a session of this age must be checked before its next use: about once a second, and while it is in doubt.
    pub(crate) fn is_check_due(&self, age: Duration, idle_for: Duration) -> bool {
        is_first_use_of_a_period(age, idle_for) || self.are_in_doubt()
    }

    /// Notes whether a server is read-only.
    pub(crate) fn answered(&self, is_read_only: bool) {
        let before = self.0.read_only.swap(is_read_only, Ordering::Relaxed);
        match (before, is_read_only) {
            (false, true) => tracing::warn!(
                "database server is read-only (a standby, or a primary that was replaced): closing its sessions"
            ),
            (true, false) => tracing::info!("database server accepts writes again"),
            _ => {}
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.0.read_only.load(Ordering::Relaxed)
    }

    /// For [`CHECK_EVERY`] after the error: a session that is not used in that time is checked because of its age.
    fn are_in_doubt(&self) -> bool {
        let doubted = *self.doubted();
        doubted.is_some_and(|doubted| doubted.elapsed() < CHECK_EVERY)
    }

    fn doubted(&self) -> MutexGuard<'_, Option<Instant>> {
        let doubted = self.0.doubted.lock();
        // The value is complete at any time, so a poisoned lock is harmless.
        doubted.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a period of the session's age has begun since its last use, or less than [`CHECK_WINDOW`] ago: the pool has no
/// place for the time of the last check, and the period of a busy session begins while it is in use. A session whose uses are
/// longer than the window can miss it, and is found in one of the next periods.
fn is_first_use_of_a_period(age: Duration, idle_for: Duration) -> bool {
    let periods = |age: Duration| age.as_millis() / CHECK_EVERY.as_millis();
    let unchecked_since = age.saturating_sub(idle_for).saturating_sub(CHECK_WINDOW);
    periods(age) > periods(unchecked_since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_checked_at_its_first_use_in_each_second_of_its_age() {
        let due = |age, idle| {
            is_first_use_of_a_period(Duration::from_millis(age), Duration::from_millis(idle))
        };

        assert!(!due(0, 0));
        assert!(!due(900, 900));
        assert!(due(1_100, 200));
        assert!(!due(1_200, 50));
        assert!(due(60_000, 1_000));
    }

    #[test]
    fn a_session_that_is_never_idle_is_checked_when_a_second_begins() {
        let due = |age| is_first_use_of_a_period(Duration::from_millis(age), Duration::ZERO);

        assert!(!due(10));
        assert!(!due(999));
        assert!(due(1_000));
        assert!(due(1_049));
        assert!(!due(1_050));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_all_sessions_are_checked_for_a_second() {
        let sessions = Sessions::default();
        let is_due = || sessions.is_check_due(Duration::ZERO, Duration::ZERO);
        assert!(!is_due());

        sessions.doubt();
        assert!(is_due());

        tokio::time::advance(CHECK_EVERY).await;
        assert!(!is_due());
    }
}
