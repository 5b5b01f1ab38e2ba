//! Memory use of a process of a system.

use anyhow::Result;

use super::{Process, System};
use crate::procfs;

impl System {
    /// Resident memory of a process in bytes.
    ///
    /// # Errors
    /// When it does not run, or on a system other than Linux.
    pub fn memory_of(&self, process: Process) -> Result<u64> {
        procfs::resident_memory(self.stack.pid(process)?)
    }
}
