//! The figures of one way in one scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::books::Books;
use super::ledger::{Course, Outcome, Told};
use super::usage::Usage;
use super::way::Way;
use crate::open_loop::outcomes::millis;

/// Late sending beyond this is the generator's fault and not the system's.
const LATE: f64 = 50.0;

/// Figures; times in milliseconds, from when an order was due. `None`: there was nothing to measure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cell {
    pub(super) scenario: &'static str,
    pub(super) way: Way,
    /// Orders that users sent.
    pub(super) offered: u64,
    /// Users who were told yes.
    pub(super) yes: u64,
    /// Users who were told no, for a reason of their order.
    pub(super) no: u64,
    /// Users who saw an error.
    pub(super) errors: u64,
    pub(super) errors_by_cause: BTreeMap<String, u64>,
    /// Definite answers, yes or no.
    pub(super) confirm_p50: Option<f64>,
    pub(super) confirm_p99: Option<f64>,
    /// Until the user could know how the order ended.
    pub(super) outcome_p50: Option<f64>,
    pub(super) outcome_p99: Option<f64>,
    /// Orders that were carried out.
    pub(super) done: u64,
    /// Users who were told yes, and whose order was rejected or cancelled later.
    pub(super) undone_after_yes: u64,
    /// Users who were told yes, and whose order has no final outcome, or one that they cannot learn.
    pub(super) lost: u64,
    /// Users who saw an error, and whose order was carried out all the same.
    pub(super) done_after_error: u64,
    /// Orders between two steps at the end: their stock stays reserved.
    pub(super) half_done: u64,
    /// Shipments beyond one per order that was carried out.
    pub(super) doubled: u64,
    /// Pieces that left the stock beyond those of the orders that were carried out; 0 if all is right.
    pub(super) surplus_pieces: i64,
    /// Attempts per order.
    pub(super) attempts: f64,
    /// Maximum resident memory of the services, in MiB.
    pub(super) memory: f64,
    /// CPU time of services, broker and database per order that was carried out.
    pub(super) cpu: Option<f64>,
    /// 99 of 100 orders were sent at most this late.
    pub(super) lateness_p99: f64,
    /// For each second from the first order: the slowest of 99 in 100 definite answers, and the errors.
    pub(super) seconds: Vec<Second>,
}

/// The answers to the orders that were due in one second.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Second {
    pub(super) confirm_p99: Option<f64>,
    pub(super) errors: u64,
}

/// What a cell is computed from.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) courses: Vec<Course>,
    pub(super) before: Books,
    pub(super) after: Books,
    pub(super) usage: Usage,
}

impl Cell {
    pub(super) fn of(scenario: &'static str, way: Way, evidence: &Evidence) -> Self {
        let Evidence {
            courses,
            before,
            after,
            usage,
        } = evidence;
        let count = |is_so: &dyn Fn(&Course) -> bool| {
            courses.iter().filter(|course| is_so(course)).count() as u64
        };
        let is_done = |course: &Course| after.is_fulfilled(course.id);
        let done = count(&is_done);
        let pieces: i64 = courses
            .iter()
            .filter(|c| is_done(c))
            .map(|c| c.pieces)
            .sum();
        let confirm = sorted(courses.iter().filter_map(Course::definite));
        let outcome = sorted(courses.iter().filter_map(Course::ended));
        let offered = courses.len() as u64;
        Self {
            scenario,
            way,
            offered,
            yes: count(&Course::is_yes),
            no: count(&|course| matches!(course.told, Some((Told::No, _)))),
            errors: count(&Course::is_error),
            errors_by_cause: errors_by_cause(courses),
            confirm_p50: quantile(&confirm, 0.5),
            confirm_p99: quantile(&confirm, 0.99),
            outcome_p50: quantile(&outcome, 0.5),
            outcome_p99: quantile(&outcome, 0.99),
            done,
            undone_after_yes: count(&|course| {
                course.is_yes() && after.is_final(course.id) && !is_done(course)
            }),
            lost: count(&|course| {
                course.is_yes() && !(after.is_final(course.id) && course.outcome.is_some())
            }),
            done_after_error: count(&|course| course.is_error() && is_done(course)),
            half_done: count(&|course| after.is_half_done(course.id)),
            doubled: u64::try_from(after.shipments - before.shipments)
                .unwrap_or_default()
                .saturating_sub(done),
            surplus_pieces: after.shipped - before.shipped - pieces,
            attempts: ratio(courses.iter().map(|c| u64::from(c.attempts)).sum(), offered),
            memory: usage.memory as f64 / f64::from(1_u32 << 20),
            cpu: (done > 0).then(|| millis(usage.cpu()) / done as f64),
            lateness_p99: quantile(&sorted(courses.iter().map(|c| c.sent)), 0.99).unwrap_or(0.0),
            seconds: seconds(courses),
        }
    }

    /// Share of the users who saw an error.
    pub(super) fn error_share(&self) -> f64 {
        ratio(self.errors, self.offered)
    }

    /// Share of the users told yes whose order was not done.
    pub(super) fn broken_share(&self) -> f64 {
        ratio(self.lost + self.undone_after_yes, self.yes)
    }

    /// Share of all users who saw an error although their order was done.
    pub(super) fn surprised_share(&self) -> f64 {
        ratio(self.done_after_error, self.offered)
    }

    /// Whether the load was sent in time, so that the figures describe the system.
    pub(super) fn was_sent_in_time(&self) -> bool {
        self.lateness_p99 <= LATE
    }
}

impl Course {
    fn is_yes(&self) -> bool {
        matches!(self.told, Some((Told::Yes, _)))
    }

    /// A user who was told nothing saw an error too.
    fn is_error(&self) -> bool {
        matches!(self.told, Some((Told::Error(_), _)) | None)
    }

    /// The time of a definite answer.
    fn definite(&self) -> Option<Duration> {
        match self.told {
            Some((Told::Yes | Told::No, after)) => Some(after),
            _ => None,
        }
    }

    fn ended(&self) -> Option<Duration> {
        let (_, after): (Outcome, Duration) = self.outcome?;
        Some(after)
    }
}

fn errors_by_cause(courses: &[Course]) -> BTreeMap<String, u64> {
    let mut causes = BTreeMap::new();
    for course in courses {
        let cause = match &course.told {
            Some((Told::Error(cause), _)) => cause.as_str(),
            None => "NO_ANSWER",
            _ => continue,
        };
        *causes.entry(cause.to_owned()).or_default() += 1;
    }
    causes
}

fn seconds(courses: &[Course]) -> Vec<Second> {
    let Some(first) = courses.iter().map(|course| course.due).min() else {
        return Vec::new();
    };
    let mut due_in: BTreeMap<u64, Vec<&Course>> = BTreeMap::new();
    for course in courses {
        let second = course.due.duration_since(first).as_secs();
        due_in.entry(second).or_default().push(course);
    }
    let last = due_in.keys().next_back().copied().unwrap_or_default();
    let of = |second| {
        let courses = due_in.get(&second).map(Vec::as_slice).unwrap_or_default();
        let definite = sorted(courses.iter().filter_map(|course| course.definite()));
        Second {
            confirm_p99: quantile(&definite, 0.99),
            errors: courses.iter().filter(|course| course.is_error()).count() as u64,
        }
    };
    (0..=last).map(of).collect()
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

/// The time that this share of the sorted ones did not exceed, in milliseconds.
fn quantile(sorted: &[Duration], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let time = sorted.get(rank.saturating_sub(1))?;
    Some(millis(*time))
}

fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}

#[cfg(test)]
pub(super) mod tests;
