//! Metrics of group commits.

use super::{BATCH_SIZES, DATABASE_SECONDS, FAILED};
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Gauge, Histogram};
use crate::vocabulary::{Metric, NameOrigin, always, sometimes};

pub const GROUP_COMMIT_BATCH_SIZE: Metric = Metric {
    name: "group_commit.batch.size",
    instrument: Histogram(BATCH_SIZES),
    unit: "{command}",
    brief: "Commands per transaction",
    attributes: &[always(attr::WRITER)],
    source: NameOrigin::Own,
};

pub const GROUP_COMMIT_DURATION: Metric = Metric {
    name: "group_commit.duration",
    instrument: Histogram(DATABASE_SECONDS),
    unit: "s",
    brief: "Duration of a commit",
    attributes: &[always(attr::WRITER), sometimes(attr::ERROR_TYPE, FAILED)],
    source: NameOrigin::Own,
};

pub const GROUP_COMMIT_QUEUE: Metric = Metric {
    name: "group_commit.queue",
    instrument: Gauge,
    unit: "{command}",
    brief: "Queued commands",
    attributes: &[always(attr::WRITER)],
    source: NameOrigin::Own,
};
