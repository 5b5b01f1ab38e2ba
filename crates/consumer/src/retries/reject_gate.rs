//! The gate before the dead-letter topic: too many rejects stop their partition instead of draining it. Pure.
//!
//! One rejected record is a bad record; fifty in a row are a bad release, here or at the producer. Then an operator has to
//! look, and the rest of the partition must still be there when the cause is removed.
//!
//! A leaky bucket per partition session: each reject adds [`WEIGHT`], each handled event removes one. At the limit the gate
//! is tripped and lets nothing through.

use std::sync::atomic::{AtomicU32, Ordering};

/// The level rises in the long run if more than one event in this many is rejected.
const WEIGHT: u32 = 20;

#[derive(Debug)]
pub(crate) struct RejectGate {
    level: AtomicU32,
    limit: u32,
}

impl RejectGate {
    /// A gate that trips after this many rejects in a row.
    pub(crate) fn new(rejects_in_a_row: u32) -> Self {
        Self {
            level: AtomicU32::new(0),
            limit: rejects_in_a_row.saturating_mul(WEIGHT),
        }
    }

    /// Counts a reject; `false` if the gate is tripped. A handled event lowers it by one.
    pub(crate) fn try_reject(&self) -> bool {
        let raised = |level| (level < self.limit).then_some(level + WEIGHT);
        self.update(raised)
    }

    pub(crate) fn handled(&self) {
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
    fn rejects_in_a_row_up_to_the_limit_pass_and_the_next_trips_the_gate() {
        let gate = RejectGate::new(50);

        assert!((0..50).all(|_| gate.try_reject()));
        assert!(!gate.try_reject());
        assert!(!gate.try_reject());
    }

    #[test]
    fn a_lasting_share_above_one_in_twenty_trips_the_gate() {
        let gate = RejectGate::new(50);

        // One reject and eighteen handled: a share of 5.3 %.
        let passed = (0..10_000).take_while(|_| {
            (0..18).for_each(|_| gate.handled());
            gate.try_reject()
        });

        assert_eq!(passed.count(), 500);
    }

    proptest! {
        /// Rejects that are never more than one in twenty-one never trip the gate.
        #[test]
        fn single_rejects_among_handled_events_always_pass(
            handled in proptest::collection::vec(20_usize..100, 1..300),
        ) {
            let gate = RejectGate::new(1);
            for count in handled {
                (0..count).for_each(|_| gate.handled());
                prop_assert!(gate.try_reject());
            }
        }

        /// In any order of events, at most the limit passes, and one more for every twenty handled.
        #[test]
        fn no_more_pass_than_the_limit_and_the_handled_ones_allow(
            limit in 1_u32..60,
            events in proptest::collection::vec(any::<bool>(), 1..2_000),
        ) {
            let gate = RejectGate::new(limit);
            let (mut passed, mut handled) = (0, 0);
            for rejected in events {
                if rejected {
                    passed += u32::from(gate.try_reject());
                } else {
                    gate.handled();
                    handled += 1;
                }
                prop_assert!(passed <= limit + handled / WEIGHT + 1);
            }
        }
    }
}
