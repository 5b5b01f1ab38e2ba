//! What is seen of group commits.

use super::{BATCH_SIZES, DATABASE_SECONDS, FAILED};
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Gauge, Histogram};
use crate::vocabulary::{Metric, Source, always, sometimes};

/// How many share an fsync.
pub const GROUP_COMMIT_BATCH_SIZE: Metric = Metric {
    name: "group_commit.batch.size",
    instrument: Histogram(BATCH_SIZES),
    unit: "{command}",
    brief: "Commands that were committed together",
    attributes: &[always(attr::WRITER)],
    source: Source::Own,
};
/// What they wait for.
pub const GROUP_COMMIT_DURATION: Metric = Metric {
    name: "group_commit.duration",
    instrument: Histogram(DATABASE_SECONDS),
    unit: "s",
    brief: "Time of a commit of all its commands",
    attributes: &[always(attr::WRITER), sometimes(attr::ERROR_TYPE, FAILED)],
    source: Source::Own,
};
/// Who waits.
pub const GROUP_COMMIT_QUEUE: Metric = Metric {
    name: "group_commit.queue",
    instrument: Gauge,
    unit: "{command}",
    brief: "Commands that wait for a commit",
    attributes: &[always(attr::WRITER)],
    source: Source::Own,
};
