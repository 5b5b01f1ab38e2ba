//! The status of a supervised process: current state, restarts, exit.

use std::fmt;
use std::process::ExitStatus;

use super::Process;

/// The lifecycle state of a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProcessPhase {
    /// Stopped on request, or not started yet.
    #[default]
    Down,
    Running,
    /// Exited; a restart is pending.
    Restarting,
    /// Exited too often, or with an exit code that a restart cannot fix.
    GivenUp,
}

/// The published state of a supervised process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessState {
    pub phase: ProcessPhase,
    /// Number of restarts after unexpected exits.
    pub restarts: u32,
}

/// An unrequested process event.
#[derive(Clone, Debug)]
pub enum Notice {
    /// It exited and will be restarted.
    Died(Process, ExitStatus),
    /// It runs again, with its number of restarts.
    Restarted(Process, u32),
    /// It is not restarted any more.
    GivenUp(Process, String),
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Died(process, status) => write!(formatter, "{process} died ({status})"),
            Self::Restarted(process, count) => {
                write!(formatter, "{process} restarted (restart {count})")
            }
            Self::GivenUp(process, why) => {
                write!(formatter, "{process} is not restarted any more: {why}")
            }
        }
    }
}

/// How a process ended after a stop request.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub status: ExitStatus,
    /// Killed after the grace period.
    pub forced: bool,
    /// The exit code of a clean stop of this process.
    pub(super) clean_code: i32,
}

impl Ending {
    /// Whether it exited in time and with the exit code of a clean stop.
    pub fn is_clean(&self) -> bool {
        !self.forced && self.status.code() == Some(self.clean_code)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.forced { "forced" } else { "in time" };
        write!(formatter, "{how}, {}", self.status)
    }
}
