//! Memory use of a process of a system.

use anyhow::{Context as _, Result};

use super::{Process, System};

impl System {
    /// Resident memory of a process in bytes (proc(5): VmRSS).
    ///
    /// # Errors
    /// When it does not run, or on a system other than Linux.
    pub fn memory_of(&self, process: Process) -> Result<u64> {
        let file = self.data_dir().join("run").join(format!("{process}.pid"));
        let pid = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|text| text.split_whitespace().next());
        let kibibytes: u64 = kibibytes.context("no VmRSS")?.parse()?;
        Ok(kibibytes * 1_024)
    }
}
