//! The gate before the dead-letter topic: a flood of rejects stops its partition instead of emptying it.
//!
//! One bad record is the record's fault; fifty in a row are the fault of a release, here or at the sender. A person must
//! look then, and what is still in the partition must be there when the cause is removed.
//!
//! A level, per assignment of a partition: each reject raises it, each event that is handled lowers it by one. At the
//! limit nothing more is let through. Pure.

use std::sync::atomic::{AtomicU32, Ordering};

/// How far a reject raises the level: it rises in the long run if more than one event in this many is rejected.
const WEIGHT: u32 = 20;

/// The gate of one assignment.
#[derive(Debug)]
pub(super) struct RejectGate {
    level: AtomicU32,
    limit: u32,
}

impl RejectGate {
    /// A gate that so many rejects in a row close.
    pub(super) fn new(rejects_in_a_row: u32) -> Self {
        Self {
            level: AtomicU32::new(0),
            limit: rejects_in_a_row.saturating_mul(WEIGHT),
        }
    }

    /// Lets a record that is rejected through, or not. Once it is closed, only events that are handled open it again.
    pub(super) fn lets_through(&self) -> bool {
        let raised = |level| (level < self.limit).then_some(level + WEIGHT);
        self.update(raised)
    }

    /// Notes an event that was handled.
    pub(super) fn handled(&self) {
        self.update(|level| level.checked_sub(1));
    }

    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        self.level
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_many_rejects_in_a_row_as_the_limit_pass_and_the_next_does_not() {
        let gate = RejectGate::new(50);

        assert!((0..50).all(|_| gate.lets_through()));
        assert!(!gate.lets_through());
        assert!(!gate.lets_through());
    }

    #[test]
    fn a_lasting_share_above_one_in_twenty_closes_the_gate() {
        let gate = RejectGate::new(50);

        // One reject and eighteen handled: a share of 5.3 %.
        let passed = (0..10_000).take_while(|_| {
            (0..18).for_each(|_| gate.handled());
            gate.lets_through()
        });

        assert_eq!(passed.count(), 500);
    }

    proptest! {
        /// However long it goes on, rejects that are never more than one in twenty-one never close the gate.
        #[test]
        fn single_rejects_among_events_that_are_handled_always_pass(
            handled in proptest::collection::vec(20_usize..100, 1..300),
        ) {
            let gate = RejectGate::new(1);
            for count in handled {
                (0..count).for_each(|_| gate.handled());
                prop_assert!(gate.lets_through());
            }
        }

        /// In any order of events: what passes at once is at most the limit, and one for every twenty handled.
        #[test]
        fn no_more_pass_than_the_limit_and_the_handled_ones_allow(
            limit in 1_u32..60,
            events in proptest::collection::vec(any::<bool>(), 1..2_000),
        ) {
            let gate = RejectGate::new(limit);
            let (mut passed, mut handled) = (0, 0);
            for rejected in events {
                if rejected {
                    passed += u32::from(gate.lets_through());
                } else {
                    gate.handled();
                    handled += 1;
                }
                prop_assert!(passed <= limit + handled / WEIGHT + 1);
            }
        }
    }
}
