//! What a number of orders has cost: CPU time of each process, and WAL.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::figures::Figures;
use super::pair::Pair;
use crate::procfs;
use crate::stack::Service;

/// The process of this program.
const DRIVER: &str = "driver";

/// Readings of the counters of all processes. Taken while the services run.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    cpu: BTreeMap<&'static str, Duration>,
    /// Position in the WAL, which both databases share.
    wal: i64,
}

/// Microseconds of CPU time, and bytes.
#[derive(Clone, Debug)]
pub(super) struct CostPerOrder {
    pub(super) cpu: BTreeMap<&'static str, f64>,
    pub(super) wal: f64,
}

impl Usage {
    pub(super) async fn of(pair: &Pair) -> Result<Self> {
        let mut cpu = BTreeMap::from([(DRIVER, procfs::cpu_time(std::process::id())?)]);
        for service in Service::IN_STOP_ORDER {
            let mut time = Duration::ZERO;
            for pid in pair.pids(service)? {
                // PostgreSQL has a process per session.
                time += procfs::cpu_time_with_children(pid)?;
            }
            cpu.insert(service.name(), time);
        }
        let mut orders = pair.database(Service::Orders).await?;
        let wal = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        let wal = sqlx::query_scalar(wal).fetch_one(&mut orders).await?;
        Ok(Self { cpu, wal })
    }

    /// What each of these orders has cost since an earlier reading.
    pub(super) fn since(&self, earlier: &Self, orders: u64) -> CostPerOrder {
        let orders = orders as f64;
        let cpu = self.cpu.iter().map(|(name, time)| {
            let used = time.saturating_sub(earlier.cpu[name]);
            (*name, used.as_secs_f64() * 1e6 / orders)
        });
        CostPerOrder {
            cpu: cpu.collect(),
            wal: (self.wal - earlier.wal) as f64 / orders,
        }
    }
}

impl CostPerOrder {
    /// Microseconds of CPU time over all processes.
    pub(super) fn total(&self) -> f64 {
        self.cpu.values().sum()
    }

    /// Adds the CPU time of each process as `KEY.NAME`, and their sum.
    pub(super) fn add_to(&self, figures: &mut Figures, key: &str) {
        for (name, micros) in &self.cpu {
            figures.add(format!("{key}.{name}"), *micros);
        }
        figures.add(format!("{key}.total"), self.total());
    }
}
