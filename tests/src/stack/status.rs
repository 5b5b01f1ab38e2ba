//! The status of a supervised process: current state, restarts, exit.

use std::fmt;
use std::process::ExitStatus;

use super::Process;

/// What a process does at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Phase {
    /// Stopped on request, or not started yet.
    #[default]
    Down,
    /// Running.
    Running,
    /// Died; a restart is due.
    Restarting,
    /// Died too often, or in a way that a restart cannot help.
    GivenUp,
}

/// The published state of a supervised process.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Current state.
    pub phase: Phase,
    /// Number of restarts after unexpected exits.
    pub restarts: u32,
}

/// Something that happened to a process without having been asked for.
#[derive(Clone, Debug)]
pub enum Notice {
    /// It died and will be restarted.
    Died(Process, ExitStatus),
    /// It runs again; the number counts its restarts.
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
            Self::GivenUp(process, why) => write!(formatter, "{process} is given up: {why}"),
        }
    }
}

/// How a process ended after a stop request.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Its exit status.
    pub status: ExitStatus,
    /// It did not end within the time it had, so it was killed.
    pub forced: bool,
    /// The exit code of a process of its kind that has stopped cleanly.
    pub(super) clean_code: i32,
}

impl Ending {
    /// It ended by itself, in time, with the exit code that says so.
    pub fn is_clean(&self) -> bool {
        !self.forced && self.status.code() == Some(self.clean_code)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.forced { "forced" } else { "by itself" };
        write!(formatter, "{how}, {}", self.status)
    }
}
