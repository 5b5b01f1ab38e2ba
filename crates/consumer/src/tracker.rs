//! Which offsets of one partition session are complete: [`OffsetTracker`] computes it, [`Progress`] publishes it.
//!
//! The tracker is pure. A new session begins with a new tracker, so that a completion of an old session cannot move the
//! offsets of a new one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::deleted_records::Jump;

/// The offsets of one partition since it was assigned.
#[derive(Debug, Default)]
pub(crate) struct OffsetTracker {
    /// With the time of publication, in unix milliseconds, if known.
    incomplete: BTreeMap<i64, Option<i64>>,
    /// One above the last received offset. Offsets that were never received (compaction, transaction markers) need no
    /// completion.
    next: Option<i64>,
}

impl OffsetTracker {
    /// Adds a received offset; `false` if it is already in flight and must not be started twice.
    pub(crate) fn receive(&mut self, offset: i64, published_at: Option<i64>) -> bool {
        // An offset below earlier ones means that the topic was truncated or recreated: follow it, since a commit at the
        // old position would skip the new records.
        self.next = Some(offset + 1);
        self.incomplete.insert(offset, published_at).is_none()
    }

    /// The effect of the offset is durable.
    pub(crate) fn complete(&mut self, offset: i64) {
        self.incomplete.remove(&offset);
    }

    /// The offset to commit: the lowest incomplete one, else the next one to come. `None` before the first record.
    pub(crate) fn committable(&self) -> Option<i64> {
        let next = self.next?;
        let lowest = self.lowest_incomplete().unwrap_or(next);
        Some(lowest.min(next))
    }

    /// Publication time of the lowest incomplete offset, in unix milliseconds.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let (_, published_at) = self.incomplete.first_key_value()?;
        *published_at
    }

    /// Distance from the lowest incomplete offset to the next one: the records that a restart would deliver again.
    pub(crate) fn span(&self) -> u64 {
        match (self.lowest_incomplete(), self.next) {
            (Some(lowest), Some(next)) => next.saturating_sub(lowest).unsigned_abs(),
            _ => 0,
        }
    }

    fn lowest_incomplete(&self) -> Option<i64> {
        self.incomplete.first_key_value().map(|(offset, _)| *offset)
    }
}

/// Progress of one partition session, written by its task, read by the poll thread and by telemetry.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    offsets: Mutex<Offsets>,
    reading: Mutex<Reading>,
}

/// Which offset is received next, and which were not received.
#[derive(Debug, Default)]
struct Reading {
    /// `None` before the first record of a group without a committed offset.
    expected: Option<i64>,
    /// Not examined yet, ascending unless the topic begins anew.
    jumps: Vec<Jump>,
}

/// Jumps that are kept apart until they are examined. More arise where each transaction leaves a marker: the last one is
/// extended then, and counts the records between them too if they were deleted meanwhile.
const MAX_JUMPS: usize = 100;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offsets {
    /// The offset to commit, if any record is complete.
    pub(crate) committable: Option<i64>,
    /// The lowest incomplete offset, or the next one to come; `None` before the first record.
    pub(crate) lowest: Option<i64>,
    /// Publication time of the lowest incomplete offset, in unix milliseconds; `None` if all are complete.
    pub(crate) oldest: Option<i64>,
}

impl Progress {
    /// The progress of a session that starts at the committed offset of its group, if there is one.
    pub(crate) fn starting_at(committed: Option<i64>) -> Self {
        let reading = Reading {
            expected: committed,
            jumps: Vec::new(),
        };
        Self {
            reading: Mutex::new(reading),
            ..Self::default()
        }
    }

    pub(crate) fn received(&self, offset: i64) {
        self.reading().reach(offset, offset + 1);
    }

    /// The log begins here, and no fetched record waits.
    pub(crate) fn log_begins_at(&self, offset: i64) {
        let mut reading = self.reading();
        if reading.expected.is_some_and(|expected| expected < offset) {
            reading.reach(offset, offset);
        }
    }

    /// The jumps since the last call.
    pub(crate) fn take_jumps(&self) -> Vec<Jump> {
        std::mem::take(&mut self.reading().jumps)
    }

    /// These offsets were deleted and are reported. If everything before them is complete, the commit passes them, so that the
    /// next owner of the partition does not report them again.
    pub(crate) fn pass_deleted(&self, deleted: &Jump) {
        let mut offsets = self.lock();
        let is_complete = |lowest: i64| lowest == deleted.start;
        if offsets.lowest.is_none_or(is_complete) {
            offsets.lowest = Some(deleted.end);
            offsets.committable = Some(deleted.end);
        }
    }

    /// Keeps jumps that could not be examined.
    pub(crate) fn return_jumps(&self, jumps: Vec<Jump>) {
        let mut reading = self.reading();
        let later = std::mem::replace(&mut reading.jumps, jumps);
        for jump in later {
            reading.add(jump);
        }
    }

    pub(crate) fn offsets(&self) -> Offsets {
        *self.lock()
    }

    /// Lets the poll thread commit up to the tracker's lowest incomplete offset.
    pub(crate) fn allow_commit(&self, tracker: &OffsetTracker) {
        let lowest = tracker.committable();
        *self.lock() = Offsets {
            committable: lowest,
            lowest,
            oldest: tracker.oldest(),
        };
    }

    /// Updates the consumer lag only.
    pub(crate) fn update_lag(&self, tracker: &OffsetTracker) {
        let mut offsets = self.lock();
        offsets.lowest = tracker.committable();
        offsets.oldest = tracker.oldest();
    }

    fn lock(&self) -> MutexGuard<'_, Offsets> {
        // Consistent after every operation, so a panic elsewhere does not matter.
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        // As above.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// Reading has reached `offset`; `next` is expected now. A lower offset than expected is no jump: the topic was
    /// truncated or recreated.
    fn reach(&mut self, offset: i64, next: i64) {
        if let Some(expected) = self.expected
            && expected < offset
        {
            self.add(expected..offset);
        }
        self.expected = Some(next);
    }

    fn add(&mut self, jump: Jump) {
        let is_full = self.jumps.len() >= MAX_JUMPS;
        match self.jumps.last_mut() {
            Some(last) if is_full => last.end = last.end.max(jump.end),
            _ => self.jumps.push(jump),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_may_be_committed_before_the_first_record() {
        assert_eq!(OffsetTracker::default().committable(), None);
    }

    #[test]
    fn the_lowest_incomplete_offset_holds_back_the_commit() {
        let mut tracker = OffsetTracker::default();
        for offset in [5, 6, 9] {
            assert!(tracker.receive(offset, None));
        }

        tracker.complete(6);
        tracker.complete(9);

        assert_eq!(tracker.committable(), Some(5));
        assert_eq!(tracker.span(), 5);
        tracker.complete(5);
        assert_eq!(tracker.committable(), Some(10));
        assert_eq!(tracker.span(), 0);
    }

    #[test]
    fn the_oldest_is_the_lowest_incomplete_offset() {
        let mut tracker = OffsetTracker::default();
        tracker.receive(5, Some(100));
        tracker.receive(6, Some(90));
        assert_eq!(tracker.oldest(), Some(100));

        tracker.complete(5);
        assert_eq!(tracker.oldest(), Some(90));

        tracker.complete(6);
        assert_eq!(tracker.oldest(), None);
    }

    #[test]
    fn an_in_flight_offset_is_not_started_twice() {
        let mut tracker = OffsetTracker::default();

        assert!(tracker.receive(5, None));
        assert!(!tracker.receive(5, None));
    }

    #[test]
    fn a_topic_that_begins_anew_is_followed_to_its_lower_offsets() {
        let mut tracker = OffsetTracker::default();
        tracker.receive(1_000, None);
        tracker.complete(1_000);

        tracker.receive(0, None);
        tracker.complete(0);

        assert_eq!(tracker.committable(), Some(1));
    }

    #[test]
    fn offsets_that_were_expected_and_not_received_are_a_jump() {
        let progress = Progress::starting_at(Some(10));
        let only = |jump: Jump| std::iter::once(jump).collect::<Vec<_>>();

        progress.received(10);
        assert_eq!(progress.take_jumps(), []);
        progress.received(15);
        assert_eq!(progress.take_jumps(), only(11..15));
        progress.log_begins_at(20);
        assert_eq!(progress.take_jumps(), only(16..20));

        progress.received(20);
        progress.log_begins_at(20);
        assert_eq!(progress.take_jumps(), []);
    }

    #[test]
    fn jumps_that_were_not_examined_are_kept_without_the_records_between_them() {
        let progress = Progress::starting_at(Some(10));
        progress.received(15);

        let jumps = progress.take_jumps();
        progress.received(18);
        progress.return_jumps(jumps);

        assert_eq!(progress.take_jumps(), [10..15, 16..18]);
    }

    #[test]
    fn a_jump_in_every_record_takes_bounded_memory() {
        let progress = Progress::starting_at(Some(0));
        for number in 1..=1_000 {
            progress.received(2 * number);
        }

        let jumps = progress.take_jumps();
        assert_eq!(jumps.len(), MAX_JUMPS);
        assert_eq!(jumps.last().unwrap().end, 2_000);
    }

    #[test]
    fn the_commit_passes_deleted_offsets_if_everything_before_them_is_complete() {
        let fresh = Progress::starting_at(Some(10));
        fresh.pass_deleted(&(10..15));
        assert_eq!(fresh.offsets().committable, Some(15));

        let (progress, mut tracker) = (Progress::starting_at(Some(9)), OffsetTracker::default());
        tracker.receive(9, None);
        progress.update_lag(&tracker);
        progress.pass_deleted(&(10..15));
        assert_eq!(progress.offsets().committable, None, "9 is in flight");

        tracker.complete(9);
        progress.allow_commit(&tracker);
        assert_eq!(progress.offsets().committable, Some(10));
        progress.pass_deleted(&(10..15));
        assert_eq!(progress.offsets().committable, Some(15));
    }

    #[test]
    fn a_group_without_a_committed_offset_has_skipped_nothing() {
        let progress = Progress::starting_at(None);

        progress.log_begins_at(500);
        progress.received(500);
        // A topic that begins anew.
        progress.received(0);

        assert_eq!(progress.take_jumps(), []);
    }

    proptest! {
        /// Any gaps, any order of completion: the commit never passes an incomplete offset, never goes back,
        /// and ends one above the last.
        #[test]
        fn a_commit_never_passes_unfinished_work(
            gaps in proptest::collection::vec(1_i64..5, 1..60),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut tracker = OffsetTracker::default();
            let mut open: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let last = *open.last().unwrap();
            for offset in &open {
                tracker.receive(*offset, None);
            }

            let mut committed = 0;
            for pick in order.iter().take(gaps.len()) {
                tracker.complete(open.swap_remove(pick.index(open.len())));
                let commit = tracker.committable().unwrap();
                prop_assert!(open.iter().all(|offset| commit <= *offset));
                prop_assert!(commit >= committed);
                committed = commit;
            }
            prop_assert_eq!(committed, last + 1);
        }
    }
}
