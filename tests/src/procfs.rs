//! CPU time and memory of processes, from `/proc` (proc(5)); only on Linux.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ`: the unit of CPU time in `/proc/PID/stat`.
const TICK: Duration = Duration::from_millis(10);

/// Fields of `/proc/PID/stat` after the program name, from 0.
const PARENT: usize = 1;
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const USER_TIME_OF_ENDED_CHILDREN: usize = 13;
const SYSTEM_TIME_OF_ENDED_CHILDREN: usize = 14;

/// The fields of `/proc/PID/stat` after the program name, which may contain spaces.
struct Stat(Vec<String>);

/// CPU time used so far by all threads of a process.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    Stat::read(pid)?.time(&[USER_TIME, SYSTEM_TIME])
}

/// CPU time used so far by a process and all its children, ended ones included, as of a server with a process per
/// session.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time_with_children(pid: u32) -> Result<Duration> {
    let own = Stat::read(pid)?.time(&[
        USER_TIME,
        SYSTEM_TIME,
        USER_TIME_OF_ENDED_CHILDREN,
        SYSTEM_TIME_OF_ENDED_CHILDREN,
    ])?;
    let children = children(pid)?.into_iter();
    // A child that ends meanwhile is missing here and counted by its parent at the next reading.
    Ok(own
        + children
            .filter_map(|child| cpu_time(child).ok())
            .sum::<Duration>())
}

/// Resident memory of a process in bytes (`VmRSS`).
///
/// # Errors
/// When there is no such process.
pub fn resident_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.and_then(|text| text.split_whitespace().next());
    let kibibytes: u64 = kibibytes.context("no VmRSS")?.parse()?;
    Ok(kibibytes * 1_024)
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = pid.to_string();
    let is_child =
        |other: &u32| Stat::read(*other).is_ok_and(|stat| stat.0.get(PARENT) == Some(&parent));
    Ok(pids.filter(is_child).collect())
}

impl Stat {
    fn read(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
        let fields = after_name.split_whitespace().map(ToOwned::to_owned);
        Ok(Self(fields.collect()))
    }

    fn time(&self, fields: &[usize]) -> Result<Duration> {
        let mut ticks = 0_u32;
        for field in fields {
            ticks += self
                .0
                .get(*field)
                .context("too few fields in stat")?
                .parse::<u32>()?;
        }
        Ok(TICK * ticks)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_time_of_an_ended_child_is_counted_with_its_parent() {
        let before = cpu_time_with_children(std::process::id()).unwrap();

        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let status = Command::new("sh").args(["-c", busy]).status().unwrap();

        assert!(status.success());
        let after = cpu_time_with_children(std::process::id()).unwrap();
        assert!(after > before, "{after:?} {before:?}");
    }

    #[test]
    fn own_time_grows_and_memory_is_resident() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let limit = Instant::now() + Duration::from_secs(10);

        while cpu_time(pid).unwrap() == before {
            assert!(Instant::now() < limit, "no CPU time was counted");
        }

        assert!(resident_memory(pid).unwrap() > 1_024 * 1_024);
    }
}
