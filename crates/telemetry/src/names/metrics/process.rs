//! Metrics of the process and its runtime.

use opentelemetry_semantic_conventions::metric as conventions;

use crate::names::attributes as attr;
use crate::vocabulary::{Metric, always, counter, gauge, up_down_counter};

pub const PROCESS_CPU_TIME: Metric = counter(
    conventions::PROCESS_CPU_TIME,
    "s",
    "CPU time of the process",
)
.of_conventions()
.with(&[always(attr::CPU_MODE)]);

pub const PROCESS_MEMORY_USAGE: Metric = up_down_counter(
    conventions::PROCESS_MEMORY_USAGE,
    "By",
    "Resident memory of the process",
)
.of_conventions();

pub const PROCESS_THREAD_COUNT: Metric = up_down_counter(
    conventions::PROCESS_THREAD_COUNT,
    "{thread}",
    "Threads of the process",
)
.of_conventions();

pub const PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Metric = up_down_counter(
    conventions::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    "{file_descriptor}",
    "Open file descriptors of the process",
)
.of_conventions();

pub const PROCESS_UPTIME: Metric = gauge(
    conventions::PROCESS_UPTIME,
    "s",
    "Time since the start of the process",
)
.of_conventions();

pub const LOG_LINES_DROPPED: Metric = counter(
    "log.lines.dropped",
    "{line}",
    "Log lines that stdout has not taken: it is not read, closed, or on a full disk. They are exported nevertheless",
);

pub const TOKIO_WORKERS: Metric =
    gauge("tokio.workers", "{thread}", "Worker threads of the runtime");

pub const TOKIO_TASKS_ALIVE: Metric = gauge(
    "tokio.tasks.alive",
    "{task}",
    "Tasks that are spawned and not finished",
);

pub const TOKIO_GLOBAL_QUEUE: Metric = gauge(
    "tokio.global_queue",
    "{task}",
    "Tasks in the global queue of the runtime",
);

pub const TOKIO_BUSY_TIME: Metric =
    counter("tokio.busy.time", "s", "Busy time of all worker threads");
