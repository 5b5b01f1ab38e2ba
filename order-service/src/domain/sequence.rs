//! The gate that keeps an order's outcomes in sequence, whatever a broker or a redrive does to them.

/// What to do with an event, by its position among its sender's events about the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the next one.
    Next,
    /// It was applied before.
    Duplicate,
    /// Events before it are still missing.
    Gap {
        /// The position that must come first.
        expected: u64,
    },
}

/// Admits the event at `sequence` when `last` is the position applied last; 0 when there was none.
pub fn admit(last: u64, sequence: u64) -> Admission {
    let expected = last.saturating_add(1);
    match sequence {
        _ if sequence == expected => Admission::Next,
        _ if sequence <= last => Admission::Duplicate,
        _ => Admission::Gap { expected },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_event_is_admitted_and_no_other() {
        assert_eq!(admit(0, 1), Admission::Next);
        assert_eq!(admit(2, 3), Admission::Next);
        assert_eq!(admit(2, 2), Admission::Duplicate);
        assert_eq!(admit(2, 0), Admission::Duplicate);
        assert_eq!(admit(2, 4), Admission::Gap { expected: 3 });
        assert_eq!(admit(0, u64::MAX), Admission::Gap { expected: 1 });
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_applied_once_and_in_sequence(
            arrivals in prop::collection::vec(0_u64..8, 0..60)
        ) {
            let mut applied = Vec::new();
            for sequence in arrivals {
                if admit(applied.len() as u64, sequence) == Admission::Next {
                    applied.push(sequence);
                }
            }

            let in_sequence: Vec<u64> = (1..=applied.len() as u64).collect();
            prop_assert_eq!(applied, in_sequence);
        }
    }
}
