//! The status of a supervised process: current state, restarts, exit.

use std::fmt;
use std::path::Path;
use std::process::ExitStatus;

use super::Process;
use super::data_directory::tail;

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
#[derive(Clone, Debug)]
pub struct Ending {
    pub status: ExitStatus,
    /// Killed after the grace period.
    pub forced: bool,
    /// The exit code of a clean stop of this process.
    clean_code: i32,
    /// The last lines of its log, unless it is clean.
    log: String,
}

impl Ending {
    pub(crate) fn new(status: ExitStatus, forced: bool, clean_code: i32, log_file: &Path) -> Self {
        let mut ending = Self {
            status,
            forced,
            clean_code,
            log: String::new(),
        };
        if !ending.is_clean() {
            ending.log = tail(log_file);
        }
        ending
    }

    /// Whether it exited in time and with the exit code of a clean stop.
    pub fn is_clean(&self) -> bool {
        !self.forced && self.status.code() == Some(self.clean_code)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.forced { "forced" } else { "in time" };
        write!(formatter, "{how}, {}", self.status)?;
        if self.log.is_empty() {
            return Ok(());
        }
        write!(formatter, "; the end of its log:\n{}", self.log)
    }
}
