//! CPU time and memory of the processes of a way, sampled while a scenario runs.
//!
//! Sampled, because a process that is killed meanwhile takes its counters with it: at most the last sample's time is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::site::Site;
use crate::procfs;

/// Time between two samples; a reading costs some hundred microseconds.
const EVERY: Duration = Duration::from_millis(250);

/// What was used since the beginning.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// CPU time of each process by pid: at the first sample and at the last.
    cpu: BTreeMap<u32, (Duration, Duration)>,
    /// Maximum resident memory of the services together, in bytes.
    pub(super) memory: u64,
}

impl Usage {
    /// Takes the first sample: what was used before does not count.
    pub(super) fn begin(site: &Site) -> Self {
        let mut usage = Self::default();
        usage.sample(site);
        for (before, now) in usage.cpu.values_mut() {
            *before = *now;
        }
        usage
    }

    /// Samples until the work is done.
    pub(super) async fn during<T>(&mut self, site: &Site, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.sample(site);
                    return done;
                }
                () = sleep(EVERY) => self.sample(site),
            }
        }
    }

    /// Reads the counters. A process that is down has none.
    fn sample(&mut self, site: &Site) {
        for process in site.processes() {
            let Ok(pid) = site.stack.pid(process) else {
                continue;
            };
            if let Ok(time) = procfs::cpu_time_with_children(pid) {
                // A new process has used nothing before.
                self.cpu.entry(pid).or_default().1 = time;
            }
        }
        let services = site.services().into_iter();
        let pids = services.filter_map(|process| site.stack.pid(process).ok());
        let resident = pids.filter_map(|pid| procfs::resident_memory(pid).ok());
        self.memory = self.memory.max(resident.sum());
    }

    pub(super) fn cpu(&self) -> Duration {
        let used = self.cpu.values();
        used.map(|(before, now)| now.saturating_sub(*before)).sum()
    }
}
