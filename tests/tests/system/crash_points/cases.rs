//! The cases: every crash point, in every service that has it, with both actions.

use std::fmt;

use service::crash_points::CrashPoint;
use tests::system::Service;

/// What happens at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The process dies.
    Abort,
    /// The step fails, once.
    Fail,
}

/// One visit to one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) point: CrashPoint,
    pub(super) service: Service,
    pub(super) action: Action,
    /// The how-manieth time that the process comes to the place.
    pub(super) occasion: u64,
}

/// What brings a process to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provocation {
    /// Orders.
    Load,
    /// Undecodable records.
    Poison,
    /// Events in the retry store that may be retried.
    Release,
    /// A stop request.
    Stop,
    /// Another replica that joins its group, and gets some of its partitions.
    Join,
}

/// All cases, each with the number of the visit to crash at, chosen by `pick` below a likely maximum.
pub(super) fn all(mut pick: impl FnMut(u64) -> u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for &point in CrashPoint::ALL {
        for service in services(point) {
            for action in [Action::Abort, Action::Fail] {
                cases.push(Case {
                    point,
                    service: *service,
                    action,
                    occasion: pick(occasions(point)),
                });
            }
        }
    }
    cases
}

/// Of these cases those that are worth their time where a restart takes long: takeovers by other replicas and revoked partitions.
pub(super) fn between_replicas(cases: Vec<Case>) -> Vec<Case> {
    let is_wanted = |case: &Case| match case.point {
        CrashPoint::AfterClaim | CrashPoint::InRevoke | CrashPoint::AfterDrain => true,
        CrashPoint::AfterCommit
        | CrashPoint::AfterAcknowledgement
        | CrashPoint::AfterEffect
        | CrashPoint::AfterStore => case.action == Action::Abort,
        _ => false,
    };
    cases.into_iter().filter(is_wanted).collect()
}

impl Case {
    /// The plan for the process.
    pub(super) fn plan(self) -> String {
        let action = match self.action {
            Action::Abort => "abort",
            Action::Fail => "fail",
        };
        format!("{}:{action}@{}", self.point.name(), self.occasion)
    }

    /// With one replica, only a stop revokes its partitions.
    pub(super) fn provocation(self, replicas: u16) -> Provocation {
        match self.point {
            CrashPoint::InRevoke | CrashPoint::AfterDrain if replicas > 1 => Provocation::Join,
            CrashPoint::InRevoke
            | CrashPoint::AfterDrain
            | CrashPoint::InShutdown
            | CrashPoint::AfterIntake => Provocation::Stop,
            CrashPoint::BeforeDeadLetter | CrashPoint::AfterDeadLetter | CrashPoint::AfterStore => {
                Provocation::Poison
            }
            CrashPoint::AfterRetriedEffect => Provocation::Release,
            _ => Provocation::Load,
        }
    }

    /// Whether it is over only when a claim of the dead process has run out.
    pub(super) fn takes_a_minute(self) -> bool {
        self.point == CrashPoint::AfterRetriedEffect && self.action == Action::Abort
    }

    /// Whether a failure there is one of the stop itself.
    pub(super) fn fails_the_stop(self) -> bool {
        matches!(self.point, CrashPoint::InShutdown | CrashPoint::AfterIntake)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} {}", self.service, self.plan()))
    }
}

/// Which services have a place.
fn services(point: CrashPoint) -> &'static [Service] {
    match point {
        CrashPoint::BeforeReply => &[Service::Orders],
        CrashPoint::BetweenSteps | CrashPoint::AfterCapture | CrashPoint::AfterRefund => {
            &[Service::Processing]
        }
        _ => &Service::PAIR,
    }
}

/// How often a process comes to a place within a few seconds. An occasion among the first finds a process that has just
/// joined its group; one among the last finds slow payments in work and offsets behind and in front of them committed.
fn occasions(point: CrashPoint) -> u64 {
    match point {
        // Once in a process's life, or almost.
        CrashPoint::AfterClaim
        | CrashPoint::InRevoke
        | CrashPoint::AfterDrain
        | CrashPoint::InShutdown
        | CrashPoint::AfterIntake => 1,
        // As many as are provoked.
        CrashPoint::BeforeDeadLetter
        | CrashPoint::AfterDeadLetter
        | CrashPoint::AfterStore
        | CrashPoint::AfterRetriedEffect => 3,
        // Five times a second, or for one order in three.
        CrashPoint::BeforeOffsetCommit
        | CrashPoint::AfterOffsetCommit
        | CrashPoint::AfterRefund => 12,
        _ => 100,
    }
}
