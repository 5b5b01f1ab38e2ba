//! Metrics of the process and its runtime.

use opentelemetry_semantic_conventions::metric as conventions;

use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge, UpDownCounter};
use crate::vocabulary::{Metric, NameOrigin, always};

pub const PROCESS_CPU_TIME: Metric = Metric {
    name: conventions::PROCESS_CPU_TIME,
    instrument: Counter,
    unit: "s",
    brief: "CPU time of the process",
    attributes: &[always(attr::CPU_MODE)],
    source: NameOrigin::Conventions,
};

pub const PROCESS_MEMORY_USAGE: Metric = Metric {
    name: conventions::PROCESS_MEMORY_USAGE,
    instrument: UpDownCounter,
    unit: "By",
    brief: "Resident memory of the process",
    attributes: &[],
    source: NameOrigin::Conventions,
};

pub const PROCESS_THREAD_COUNT: Metric = Metric {
    name: conventions::PROCESS_THREAD_COUNT,
    instrument: UpDownCounter,
    unit: "{thread}",
    brief: "Threads of the process",
    attributes: &[],
    source: NameOrigin::Conventions,
};

pub const PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Metric = Metric {
    name: conventions::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    instrument: UpDownCounter,
    unit: "{file_descriptor}",
    brief: "Open file descriptors of the process",
    attributes: &[],
    source: NameOrigin::Conventions,
};

pub const PROCESS_UPTIME: Metric = Metric {
    name: conventions::PROCESS_UPTIME,
    instrument: Gauge,
    unit: "s",
    brief: "Time since the start of the process",
    attributes: &[],
    source: NameOrigin::Conventions,
};

pub const TOKIO_WORKERS: Metric = Metric {
    name: "tokio.workers",
    instrument: Gauge,
    unit: "{thread}",
    brief: "Worker threads of the runtime",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const TOKIO_TASKS_ALIVE: Metric = Metric {
    name: "tokio.tasks.alive",
    instrument: Gauge,
    unit: "{task}",
    brief: "Tasks that are spawned and not finished",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const TOKIO_GLOBAL_QUEUE: Metric = Metric {
    name: "tokio.global_queue",
    instrument: Gauge,
    unit: "{task}",
    brief: "Tasks in the global queue of the runtime",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const TOKIO_BUSY_TIME: Metric = Metric {
    name: "tokio.busy.time",
    instrument: Counter,
    unit: "s",
    brief: "Busy time of all worker threads",
    attributes: &[],
    source: NameOrigin::Own,
};
