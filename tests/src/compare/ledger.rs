//! What users were told about their orders, and what became of these.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::order::StudyOrder;
use super::way::Reply;

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// Paid and shipped.
    Fulfilled,
    /// Rejected or cancelled: nothing was charged.
    Undone,
}

/// The cause of the error that the user of a received order sees when its outcome is late.
const PENDING: &str = "NO_OUTCOME_YET";

/// What a user was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    /// A definite no.
    No,
    /// Neither, with the cause.
    Error(String),
}

/// The course of one order. Times count from when it was due.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) id: Uuid,
    pub(super) pieces: i64,
    pub(super) due: Instant,
    pub(super) sent: Duration,
    pub(super) attempts: u32,
    pub(super) told: Option<(Told, Duration)>,
    /// The outcome as the user learned it.
    pub(super) outcome: Option<(Outcome, Duration)>,
}

/// The courses of all orders of a way. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<HashMap<Uuid, LedgerEntry>>>);

#[derive(Debug)]
struct LedgerEntry {
    course: Course,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Ledger {
    /// Notes an order that is sent now.
    pub(super) fn begin(&self, order: &StudyOrder, due: Instant) {
        let course = Course {
            id: order.id,
            pieces: order.pieces(),
            due,
            sent: due.elapsed(),
            attempts: 0,
            told: None,
            outcome: None,
        };
        let entry = LedgerEntry {
            course,
            outcome: watch::Sender::new(None),
        };
        self.entries().insert(order.id, entry);
    }

    pub(super) fn attempt(&self, id: Uuid) {
        self.change(id, |entry| entry.course.attempts += 1);
    }

    /// Notes the answer that the user got; a reply with an outcome is one.
    pub(super) fn told(&self, id: Uuid, reply: Reply) {
        if let Reply::Ended(outcome) = reply {
            self.ended(id, outcome);
        }
        let told = match reply {
            Reply::Promised | Reply::Ended(Outcome::Fulfilled) => Told::Yes,
            Reply::Ended(Outcome::Undone) | Reply::Refused => Told::No,
            Reply::Pending => Told::Error(PENDING.to_owned()),
            Reply::Failed(cause) | Reply::TooLate(cause) => Told::Error(cause),
        };
        self.change(id, |entry| {
            entry.course.told = Some((told, entry.course.due.elapsed()));
        });
    }

    /// Notes the outcome of an order; the first one counts.
    pub(super) fn ended(&self, id: Uuid, outcome: Outcome) {
        self.change(id, |entry| {
            let after = entry.course.due.elapsed();
            entry.course.outcome.get_or_insert((outcome, after));
            entry.outcome.send_replace(Some(outcome));
        });
    }

    /// Waits for the outcome of an order; `None` at the deadline.
    pub(super) async fn outcome(&self, id: Uuid, deadline: Instant) -> Option<Outcome> {
        let mut outcome = self.entries().get(&id)?.outcome.subscribe();
        let ended = timeout_at(deadline, outcome.wait_for(Option::is_some)).await;
        *ended.ok()?.ok()?
    }

    /// Whether every order that was promised or received has its outcome.
    pub(super) fn promises_are_kept(&self, ids: &[Uuid]) -> bool {
        let entries = self.entries();
        let mut courses = ids.iter().filter_map(|id| entries.get(id));
        courses.all(|entry| {
            let is_owed = match &entry.course.told {
                Some((Told::Yes, _)) => true,
                Some((Told::Error(cause), _)) => cause == PENDING,
                _ => false,
            };
            !is_owed || entry.course.outcome.is_some()
        })
    }

    /// How many of these users have an answer.
    pub(super) fn answered(&self, ids: &[Uuid]) -> usize {
        let courses = self.courses(ids);
        courses
            .iter()
            .filter(|course| course.told.is_some())
            .count()
    }

    pub(super) fn courses(&self, ids: &[Uuid]) -> Vec<Course> {
        let entries = self.entries();
        let found = ids.iter().filter_map(|id| entries.get(id));
        found.map(|entry| entry.course.clone()).collect()
    }

    fn change(&self, id: Uuid, change: impl FnOnce(&mut LedgerEntry)) {
        if let Some(entry) = self.entries().get_mut(&id) {
            change(entry);
        }
    }

    /// Ignores poisoning: every change leaves an entry consistent.
    fn entries(&self) -> MutexGuard<'_, HashMap<Uuid, LedgerEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::StudyOrders;
    use super::super::scenario::Disturbance;
    use super::*;

    fn begun() -> (Ledger, Uuid) {
        let order = StudyOrders::open().unwrap().order(0, Disturbance::Nothing);
        let ledger = Ledger::default();
        ledger.begin(&order, Instant::now());
        (ledger, order.id)
    }

    #[tokio::test]
    async fn a_promise_is_kept_when_the_outcome_is_there_whatever_it_is() {
        let (ledger, id) = begun();

        ledger.told(id, Reply::Promised);
        let before = ledger.promises_are_kept(&[id]);
        ledger.ended(id, Outcome::Undone);

        assert!(!before);
        assert!(ledger.promises_are_kept(&[id]));
        let course = &ledger.courses(&[id])[0];
        assert!(matches!(course.told, Some((Told::Yes, _))));
        assert!(matches!(course.outcome, Some((Outcome::Undone, _))));
    }

    #[tokio::test]
    async fn an_error_promises_nothing() {
        let (ledger, id) = begun();

        ledger.told(id, Reply::Failed("UNAVAILABLE".to_owned()));

        assert!(ledger.promises_are_kept(&[id]));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_an_outcome_ends_at_the_deadline() {
        let (ledger, id) = begun();
        let soon = Instant::now() + Duration::from_secs(1);

        let none = ledger.outcome(id, soon).await;
        ledger.ended(id, Outcome::Fulfilled);
        let there = ledger.outcome(id, soon).await;

        assert_eq!((none, there), (None, Some(Outcome::Fulfilled)));
    }
}
