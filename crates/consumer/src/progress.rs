//! How far the work on a partition has come, written by its task and read by the poll thread and by telemetry.

use std::sync::atomic::{AtomicI64, Ordering};

use super::tracker::OffsetTracker;

/// The progress of one assignment. Each number is stored one higher, so that zero can mean that there is none.
#[derive(Debug, Default)]
pub(super) struct Progress {
    committable: AtomicI64,
    lowest: AtomicI64,
    oldest: AtomicI64,
}

impl Progress {
    /// The offset to commit, if anything was done yet.
    pub(super) fn committable(&self) -> Option<i64> {
        load(&self.committable)
    }

    /// The lowest offset that is not done, or the next one to come; nothing before the first was received.
    pub(super) fn lowest(&self) -> Option<i64> {
        load(&self.lowest)
    }

    /// When the lowest offset that is not done was published, in unix milliseconds; nothing if all is done.
    pub(super) fn oldest(&self) -> Option<i64> {
        load(&self.oldest)
    }

    pub(super) fn publish(&self, offset: i64) {
        store(&self.committable, Some(offset));
    }

    /// Lets telemetry see what is not done.
    pub(super) fn show(&self, tracker: &OffsetTracker) {
        store(&self.lowest, tracker.committable());
        store(&self.oldest, tracker.oldest());
    }
}

fn load(stored: &AtomicI64) -> Option<i64> {
    match stored.load(Ordering::Acquire) {
        0 => None,
        stored => Some(stored - 1),
    }
}

fn store(to: &AtomicI64, value: Option<i64>) {
    to.store(value.map_or(0, |value| value + 1), Ordering::Release);
}
