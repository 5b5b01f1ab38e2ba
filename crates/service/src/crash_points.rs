//! Fault injection: named points at which a test aborts the process or fails a step.
//!
//! A signal from outside hits at a random moment. These points stand on both sides of every commit, between a durable
//! effect and its acknowledgement. They exist only with the feature `crash-points`; without it [`reach`] is a no-op.
//!
//! `CRASH_POINT=NAME:abort@N` aborts the process, as SIGKILL would, when it reaches the point for the Nth time, counted
//! from 1; `NAME:fail@N` fails the step there, once. Both write a line to standard error, so that a test can verify that
//! the point was reached.
//!
//! The plan is a global: passing it by value would add a test argument to every signature on the way.

use strum::VariantArray as _;

/// In the order in which an order passes them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum CrashPoint {
    /// A batch is collected; none of it is written.
    BeforeCommit,
    /// A batch is committed; no caller has its reply.
    AfterCommit,
    /// The effect of a call is durable; the response is not sent.
    BeforeReply,
    /// The relay has claimed outbox shards; none of their events is published.
    AfterClaim,
    /// The relay has read rows, or was handed some; none is sent.
    AfterRead,
    /// The relay has handed an event to the producer; the broker has not acknowledged it.
    AfterProduce,
    /// The broker has acknowledged an event; its row is not deleted.
    AfterAcknowledgement,
    /// The rows of acknowledged events are deleted.
    AfterDelete,
    /// A record was polled; its handler has not started.
    AfterPoll,
    /// A saga step is committed; the next has not started. Payment and shipment are one commit.
    BetweenSteps,
    /// The payment provider has captured; neither the capture nor the shipment is recorded.
    AfterCapture,
    /// The payment provider has refunded; the refund is not recorded.
    AfterRefund,
    /// The effect of an event is durable; its offset is not marked as processed.
    AfterEffect,
    /// Offsets are about to be committed.
    BeforeOffsetCommit,
    /// The offset commit has been sent or acknowledged.
    AfterOffsetCommit,
    /// Partitions are being revoked; in-flight events are not drained.
    InRevoke,
    /// Revoked partitions are drained; their offsets are not committed.
    AfterDrain,
    /// The retry budget of an event is exhausted; it is not in the dead-letter topic.
    BeforeDeadLetter,
    /// An event is in the dead-letter topic; it is not in the retry store.
    AfterDeadLetter,
    /// An event is in the retry store; its offset is not marked as processed.
    AfterStore,
    /// An event of the retry store was handled; its row is not deleted.
    AfterRetriedEffect,
    /// The shutdown has started; all tasks are running.
    InShutdown,
    /// The consumer has left its group; the relay still publishes.
    AfterIntake,
}

impl CrashPoint {
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in `CRASH_POINT`, such as `after-commit`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A failure that a test has injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("injected failure at {}", .0.name())]
pub struct Injected(pub CrashPoint);

/// Marks a crash point.
///
/// # Errors
/// [`Injected`] when `CRASH_POINT` says so; never without the feature `crash-points`.
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

    struct Plan {
        point: CrashPoint,
        action: Action,
        at: u64,
        reached: AtomicU64,
    }

    #[derive(Clone, Copy, strum::EnumString)]
    #[strum(serialize_all = "lowercase")]
    enum Action {
        Abort,
        Fail,
    }

    /// Marks a crash point.
    ///
    /// # Errors
    /// [`Injected`] when `CRASH_POINT` says so.
    pub fn reach(point: CrashPoint) -> Result<(), Injected> {
        let Some(plan) = PLAN.get_or_init(plan).as_ref() else {
            return Ok(());
        };
        if plan.point != point || plan.reached.fetch_add(1, Ordering::SeqCst) + 1 != plan.at {
            return Ok(());
        }
        // A single write, so that output of other threads does not interleave.
        let notice = format!("crash point {} is reached\n", point.name());
        let _ = std::io::stderr().write_all(notice.as_bytes());
        match plan.action {
            Action::Abort => std::process::abort(),
            Action::Fail => Err(Injected(point)),
        }
    }

    /// Aborts on a malformed plan: a test would otherwise pass without any injected failure.
    fn plan() -> Option<Plan> {
        let text = std::env::var("CRASH_POINT").ok()?;
        let plan = parse(&text);
        if plan.is_none() {
            eprintln!("CRASH_POINT={text} is malformed");
            std::process::abort();
        }
        plan
    }

    fn parse(text: &str) -> Option<Plan> {
        let (name, action) = text.split_once(':')?;
        let (action, at) = action.split_once('@')?;
        Some(Plan {
            point: name.parse().ok()?,
            action: action.parse().ok()?,
            at: at.parse().ok()?,
            reached: AtomicU64::new(0),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_gives_the_point_the_action_and_the_count() {
            let plan = parse("after-commit:fail@3").unwrap();

            assert_eq!(plan.point, CrashPoint::AfterCommit);
            assert!(matches!(plan.action, Action::Fail));
            assert_eq!(plan.at, 3);
        }

        #[test]
        fn a_malformed_plan_is_rejected() {
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
    fn every_crash_point_has_a_unique_name() {
        let names: HashSet<_> = CrashPoint::ALL.iter().map(|point| point.name()).collect();

        assert_eq!(names.len(), CrashPoint::ALL.len());
    }
}
