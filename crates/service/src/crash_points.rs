//! Named places at which a test lets the process die, or a step fail.
//!
//! A crash that a test provokes from outside hits where it hits. These places are the ones that matter: between what is
//! durable and what is told, on both sides of every commit. They exist only in builds with the feature `crash-points`;
//! in all others [`reach`] is nothing.
//!
//! `CRASH_POINT=NAME:abort@N` lets the process die as by SIGKILL when it reaches the place for the Nth time (from 1), and
//! `NAME:fail@N` lets the step fail there, once. Both write a line to standard error, so that a test can tell that the
//! place was reached.
//!
//! The plan is the one global of this repository: passing it to every place would put a test's argument into every
//! signature.

/// The places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// A batch is complete, nothing of it is written.
    BeforeCommit,
    /// A batch is committed, nobody has been told.
    AfterCommit,
    /// A call's effect is durable, its answer is not sent.
    BeforeReply,
    /// The relay has claimed shards of the outbox, and published nothing of them.
    AfterClaim,
    /// The relay has read rows, and sent none.
    AfterRead,
    /// The relay has handed an event to the producer; the broker has not acknowledged it.
    AfterProduce,
    /// The broker has acknowledged an event; its row is not deleted.
    AfterAcknowledgement,
    /// The rows of acknowledged events are deleted.
    AfterDelete,
    /// A record was taken in; no work on it has begun.
    AfterPoll,
    /// A step of the saga is committed, the next has not begun.
    BetweenSteps,
    /// The payment provider has captured; nothing of that is recorded.
    AfterCapture,
    /// The payment provider has given the money back; nothing of that is recorded.
    AfterRefund,
    /// An event's effect is durable; its offset does not count as done.
    AfterEffect,
    /// Offsets are about to be committed.
    BeforeOffsetCommit,
    /// Offsets were committed, or are on their way to the broker.
    AfterOffsetCommit,
    /// Partitions are revoked; what is in work is not drained.
    InRevoke,
    /// Revoked partitions are drained; their offsets are not committed.
    AfterDrain,
    /// An event was given up; the dead-letter topic does not have it.
    BeforeDeadLetter,
    /// The dead-letter topic has an event; it is not parked.
    AfterDeadLetter,
    /// An event is parked; its offset does not count as done.
    AfterStore,
    /// A parked event was handled; its row is not removed.
    AfterRetriedEffect,
    /// A stop has begun; everything is still at work.
    InShutdown,
    /// The consumer has left; the relay still publishes.
    AfterIntake,
}

impl CrashPoint {
    /// All places, in the order of an order's life.
    pub const ALL: [Self; 23] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeReply,
        Self::AfterClaim,
        Self::AfterRead,
        Self::AfterProduce,
        Self::AfterAcknowledgement,
        Self::AfterDelete,
        Self::AfterPoll,
        Self::BetweenSteps,
        Self::AfterCapture,
        Self::AfterRefund,
        Self::AfterEffect,
        Self::BeforeOffsetCommit,
        Self::AfterOffsetCommit,
        Self::InRevoke,
        Self::AfterDrain,
        Self::BeforeDeadLetter,
        Self::AfterDeadLetter,
        Self::AfterStore,
        Self::AfterRetriedEffect,
        Self::InShutdown,
        Self::AfterIntake,
    ];

    /// Its name in `CRASH_POINT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforeReply => "before-reply",
            Self::AfterClaim => "after-claim",
            Self::AfterRead => "after-read",
            Self::AfterProduce => "after-produce",
            Self::AfterAcknowledgement => "after-acknowledgement",
            Self::AfterDelete => "after-delete",
            Self::AfterPoll => "after-poll",
            Self::BetweenSteps => "between-steps",
            Self::AfterCapture => "after-capture",
            Self::AfterRefund => "after-refund",
            Self::AfterEffect => "after-effect",
            Self::BeforeOffsetCommit => "before-offset-commit",
            Self::AfterOffsetCommit => "after-offset-commit",
            Self::InRevoke => "in-revoke",
            Self::AfterDrain => "after-drain",
            Self::BeforeDeadLetter => "before-dead-letter",
            Self::AfterDeadLetter => "after-dead-letter",
            Self::AfterStore => "after-store",
            Self::AfterRetriedEffect => "after-retried-effect",
            Self::InShutdown => "in-shutdown",
            Self::AfterIntake => "after-intake",
        }
    }
}

/// A step failed because a test wanted it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure was injected at {}", .0.name())]
pub struct Injected(pub CrashPoint);

/// The execution has come to this place.
///
/// # Errors
/// [`Injected`] when a test wants the step to fail here.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn reach(_: CrashPoint) -> Result<(), Injected> {
    Ok(())
}

#[cfg(feature = "crash-points")]
pub use armed::reach;

#[cfg(feature = "crash-points")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{CrashPoint, Injected};

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

    /// What is to happen, and where.
    struct Plan {
        point: CrashPoint,
        action: Action,
        at: u64,
        reached: AtomicU64,
    }

    #[derive(Clone, Copy)]
    enum Action {
        Abort,
        Fail,
    }

    /// The execution has come to this place.
    ///
    /// # Errors
    /// [`Injected`] when a test wants the step to fail here.
    pub fn reach(point: CrashPoint) -> Result<(), Injected> {
        let Some(plan) = PLAN.get_or_init(plan).as_ref() else {
            return Ok(());
        };
        if plan.point != point || plan.reached.fetch_add(1, Ordering::SeqCst) + 1 != plan.at {
            return Ok(());
        }
        // In one write: what other threads say at the same time must not come between.
        let notice = format!("crash point {} is reached\n", point.name());
        let _ = std::io::stderr().write_all(notice.as_bytes());
        match plan.action {
            Action::Abort => std::process::abort(),
            Action::Fail => Err(Injected(point)),
        }
    }

    /// The plan in the environment. One that cannot be read would make a test believe that it has tested something.
    fn plan() -> Option<Plan> {
        let text = std::env::var("CRASH_POINT").ok()?;
        let plan = parse(&text);
        if plan.is_none() {
            eprintln!("CRASH_POINT={text} is no plan");
            std::process::abort();
        }
        plan
    }

    fn parse(text: &str) -> Option<Plan> {
        let (name, action) = text.split_once(':')?;
        let (action, at) = action.split_once('@')?;
        Some(Plan {
            point: CrashPoint::ALL
                .into_iter()
                .find(|point| point.name() == name)?,
            action: match action {
                "abort" => Action::Abort,
                "fail" => Action::Fail,
                _ => return None,
            },
            at: at.parse().ok()?,
            reached: AtomicU64::new(0),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_names_the_place_the_action_and_the_occasion() {
            let plan = parse("after-commit:fail@3").unwrap();

            assert_eq!(plan.point, CrashPoint::AfterCommit);
            assert!(matches!(plan.action, Action::Fail));
            assert_eq!(plan.at, 3);
        }

        #[test]
        fn what_is_no_plan_is_not_taken_for_one() {
            for text in [
                "",
                "after-commit",
                "nowhere:abort@1",
                "after-commit:die@1",
                "after-commit:abort@x",
            ] {
                assert!(parse(text).is_none(), "{text}");
            }
        }
    }
}

#[cfg(test)]
mod names {
    use std::collections::HashSet;

    use super::CrashPoint;

    #[test]
    fn every_place_has_a_name_of_its_own() {
        let names: HashSet<_> = CrashPoint::ALL.iter().map(|point| point.name()).collect();

        assert_eq!(names.len(), CrashPoint::ALL.len());
    }
}
