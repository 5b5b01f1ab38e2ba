//! What a measurement does: the pace of its calls, its bounds, and why it ended.

use std::fmt;
use std::time::Duration;

use super::mix::Mix;
use super::schedule::Schedule;
use crate::open_loop::Arrivals;
use crate::open_loop::rate_curve::{RateCurve, Stage};
use crate::open_loop::schedule::due_times;

/// What a measurement does.
#[derive(Clone, Debug)]
pub(super) struct LoadPlan {
    pub(super) pace: LoadPace,
    /// Calls due in this time are made and not counted.
    pub(super) warm_up: Duration,
    /// Of the counted calls, unless the schedule has its own length.
    pub(super) length: Duration,
    /// Counted calls at most.
    pub(super) count: Option<u64>,
    /// Calls at the target at once.
    pub(super) in_flight: usize,
    /// Calls that wait for their turn; further ones are dropped.
    pub(super) queue: usize,
    pub(super) mix: Mix,
    /// Share of placed orders that are watched.
    pub(super) watch_share: f64,
    /// Share of calls whose trace is sampled.
    pub(super) sampling: f64,
    /// The run ends when calls have failed for so long without an answer between; `None`: it never does.
    pub(super) patience: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) enum LoadPace {
    /// Calls are made when they are due.
    Open {
        schedule: Schedule,
        arrivals: Arrivals,
    },
    /// This many callers, each with one call at a time.
    Closed { callers: usize },
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    Completed,
    Interrupted,
    TargetGone(String),
    JournalFailed(String),
}

impl LoadPlan {
    /// The rate of the counted calls; `None` in a closed loop.
    pub(super) fn curve(&self) -> Option<RateCurve> {
        match &self.pace {
            LoadPace::Open { schedule, .. } => Some(schedule.curve(self.length)),
            LoadPace::Closed { .. } => None,
        }
    }

    /// Time of the counted calls.
    pub(super) fn measured_length(&self) -> Duration {
        self.curve().map_or(self.length, |curve| curve.length())
    }

    /// When calls are due: the warm-up at the first rate, then the schedule.
    pub(super) fn due_times(
        &self,
        curve: RateCurve,
        arrivals: Arrivals,
    ) -> impl Iterator<Item = Duration> + use<> {
        let first = curve.stages().first().map_or(0.0, |stage| stage.from);
        let curve = curve.after(Stage::constant(first, self.warm_up));
        let (warm_up, most) = (self.warm_up, self.count.unwrap_or(u64::MAX));
        let mut counted = 0;
        due_times(curve, arrivals).take_while(move |due| {
            counted += u64::from(*due >= warm_up);
            counted <= most
        })
    }
}

impl fmt::Display for LoadPace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open {
                schedule,
                arrivals: Arrivals::Constant,
            } => write!(formatter, "open loop, {schedule}"),
            Self::Open {
                schedule,
                arrivals: Arrivals::Poisson,
            } => write!(formatter, "open loop, {schedule}, Poisson arrivals"),
            Self::Closed { callers } => write!(formatter, "closed loop, {callers} callers"),
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => write!(formatter, "completed"),
            Self::Interrupted => write!(formatter, "ended early: interrupted"),
            Self::TargetGone(why) => write!(formatter, "ended early: the target is gone: {why}"),
            Self::JournalFailed(why) => write!(
                formatter,
                "ended early: the journal cannot be written: {why}"
            ),
        }
    }
}
