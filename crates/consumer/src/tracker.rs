//! Which offsets of one partition are done, for one assignment of it.
//!
//! Pure. A new assignment begins with a new tracker, so that a completion of an old assignment cannot move the
//! offsets of a new one.

use std::collections::BTreeMap;

/// The offsets of one partition since it was assigned.
#[derive(Debug, Default)]
pub(super) struct OffsetTracker {
    /// With the time at which each was published, in unix milliseconds, if that is known.
    incomplete: BTreeMap<i64, Option<i64>>,
    /// One above the offset received last. Offsets that were never received (compaction, transaction markers) need no
    /// completion.
    next: Option<i64>,
}

impl OffsetTracker {
    /// Notes a received offset; `false` if it is already in work and must not be started twice.
    pub(super) fn receive(&mut self, offset: i64, published_at: Option<i64>) -> bool {
        // An offset below those received before is a topic that was truncated or created anew: follow it, since
        // committing from the old position would skip what is there now.
        self.next = Some(offset + 1);
        self.incomplete.insert(offset, published_at).is_none()
    }

    /// Notes that the effect of an offset is durable.
    pub(super) fn complete(&mut self, offset: i64) {
        self.incomplete.remove(&offset);
    }

    /// What may be committed: the lowest offset that is not done, else the next one to come. `None` before the first.
    pub(super) fn committable(&self) -> Option<i64> {
        let next = self.next?;
        let lowest = self.lowest().unwrap_or(next);
        Some(lowest.min(next))
    }

    /// When the lowest offset that is not done was published, in unix milliseconds.
    pub(super) fn oldest(&self) -> Option<i64> {
        let (_, published_at) = self.incomplete.first_key_value()?;
        *published_at
    }

    /// How far the newest offset is ahead of the lowest that is not done: what a restart would deliver again.
    pub(super) fn span(&self) -> u64 {
        match (self.lowest(), self.next) {
            (Some(lowest), Some(next)) => next.saturating_sub(lowest).unsigned_abs(),
            _ => 0,
        }
    }

    fn lowest(&self) -> Option<i64> {
        self.incomplete.first_key_value().map(|(offset, _)| *offset)
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
    fn the_oldest_is_the_lowest_that_is_not_done() {
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
    fn an_offset_in_work_is_not_started_twice() {
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

    proptest! {
        /// Any gaps, any order of completion: the commit never passes an offset that is not done, never goes back,
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
