//! What may be committed of a partition, written by its task and read by the poll thread.

use std::sync::atomic::{AtomicI64, Ordering};

/// The progress of one assignment.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicI64);

impl Progress {
    /// The offset to commit, if anything was done yet.
    pub(super) fn committable(&self) -> Option<i64> {
        // Stored one higher, so that zero can mean "nothing yet".
        match self.0.load(Ordering::Acquire) {
            0 => None,
            stored => Some(stored - 1),
        }
    }

    pub(super) fn publish(&self, offset: i64) {
        self.0.store(offset + 1, Ordering::Release);
    }
}
