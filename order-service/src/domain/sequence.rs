//! The sequence check for the outcomes of an order: duplicates and gaps are detected, whether a broker or a redrive causes
//! them.

/// The result of the check, by the position of an event among the sender's events about the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceCheck {
    Next,
    /// Already applied.
    Duplicate,
    /// Earlier events are missing.
    Gap {
        expected: u64,
    },
}

/// Checks the event at position `sequence`; `last` is the last applied position, 0 before the first.
pub fn check_sequence(last: u64, sequence: u64) -> SequenceCheck {
    let expected = last.saturating_add(1);
    match sequence {
        _ if sequence == expected => SequenceCheck::Next,
        _ if sequence <= last => SequenceCheck::Duplicate,
        _ => SequenceCheck::Gap { expected },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_next_position_passes() {
        assert_eq!(check_sequence(0, 1), SequenceCheck::Next);
        assert_eq!(check_sequence(2, 3), SequenceCheck::Next);
        assert_eq!(check_sequence(2, 2), SequenceCheck::Duplicate);
        assert_eq!(check_sequence(2, 0), SequenceCheck::Duplicate);
        assert_eq!(check_sequence(2, 4), SequenceCheck::Gap { expected: 3 });
        assert_eq!(
            check_sequence(0, u64::MAX),
            SequenceCheck::Gap { expected: 1 }
        );
    }

    proptest! {
        #[test]
        fn any_arrivals_are_applied_once_and_in_sequence(
            arrivals in prop::collection::vec(0_u64..8, 0..60)
        ) {
            let mut applied = Vec::new();
            for sequence in arrivals {
                if check_sequence(applied.len() as u64, sequence) == SequenceCheck::Next {
                    applied.push(sequence);
                }
            }

            let in_sequence: Vec<u64> = (1..=applied.len() as u64).collect();
            prop_assert_eq!(applied, in_sequence);
        }
    }
}
