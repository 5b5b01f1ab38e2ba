//! Metrics of the process (from `/proc`, so on Linux only) and of its tokio runtime.

use std::fs;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::names::{attributes, metrics};
use super::vocabulary::{Labels, Metric};

/// The unit of CPU time in `/proc`: `USER_HZ` is 100 on every platform of Linux.
const TICK: Duration = Duration::from_millis(10);

/// The unit of memory in `/proc`.
const KIBIBYTE: u64 = 1_024;

/// Registers the metrics of the process and of this runtime.
pub fn observe(runtime: &Handle) {
    observe_process();
    observe_runtime(runtime);
}

fn observe_process() {
    let started = Instant::now();
    metrics::PROCESS_UPTIME.observe_time(move || [(started.elapsed(), Labels::default())]);
    metrics::PROCESS_CPU_TIME.observe_time(|| {
        let times = fs::read_to_string("/proc/self/stat").ok();
        let times = times.as_deref().and_then(cpu_times).into_iter().flatten();
        times.map(|(mode, time)| (time, Labels::of([attributes::CPU_MODE.label(mode)])))
    });
    let of_status = |metric: Metric, read: fn(&str) -> Option<u64>| {
        metric.observe(move || {
            let status = fs::read_to_string("/proc/self/status").ok();
            let value = status.as_deref().and_then(read);
            value.map(|value| (value, Labels::default()))
        });
    };
    of_status(metrics::PROCESS_MEMORY_USAGE, resident_bytes);
    of_status(metrics::PROCESS_THREAD_COUNT, |status| {
        number(status, "Threads:")
    });
    metrics::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT.observe(|| {
        let descriptors = fs::read_dir("/proc/self/fd").ok();
        // Without the descriptor of the directory that is being read.
        descriptors.map(|open| ((open.count() as u64).saturating_sub(1), Labels::default()))
    });
}

fn observe_runtime(runtime: &Handle) {
    let of_runtime = |metric: Metric, read: fn(&Handle) -> usize| {
        let runtime = runtime.clone();
        metric.observe(move || [(read(&runtime) as u64, Labels::default())]);
    };
    of_runtime(metrics::TOKIO_WORKERS, |of| of.metrics().num_workers());
    of_runtime(metrics::TOKIO_TASKS_ALIVE, |of| {
        of.metrics().num_alive_tasks()
    });
    of_runtime(metrics::TOKIO_GLOBAL_QUEUE, |of| {
        of.metrics().global_queue_depth()
    });
    let runtime = runtime.clone();
    metrics::TOKIO_BUSY_TIME.observe_time(move || [(busy_time(&runtime), Labels::default())]);
}

fn busy_time(runtime: &Handle) -> Duration {
    let metrics = runtime.metrics();
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_total_busy_duration(worker))
        .sum()
}

/// User and system time. They follow the program name, which is in parentheses and can contain any character.
fn cpu_times(stat: &str) -> Option<[(&'static str, Duration); 2]> {
    const USER: usize = 11;
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(USER);
    let mut time = || Some(TICK * fields.next()?.parse::<u32>().ok()?);
    Some([("user", time()?), ("system", time()?)])
}

fn resident_bytes(status: &str) -> Option<u64> {
    Some(number(status, "VmRSS:")? * KIBIBYTE)
}

fn number(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_after_any_program_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 1 2";

        let times = cpu_times(stat).unwrap();

        assert_eq!(times[0], ("user", Duration::from_millis(2_500)));
        assert_eq!(times[1], ("system", Duration::from_millis(500)));
        assert_eq!(cpu_times("nonsense"), None);
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let status = fs::read_to_string("/proc/self/status").unwrap();

        assert!(resident_bytes(&status).unwrap() > 1_000_000);
        assert!(number(&status, "Threads:").unwrap() >= 1);
        assert_eq!(number(&status, "NoSuchField:"), None);
    }
}
