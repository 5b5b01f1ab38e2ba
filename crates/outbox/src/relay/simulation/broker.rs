//! What a broker, and the way to it, make of an event.

use service::seeded_rng::Chance;

/// Microseconds.
type Micros = u64;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// What becomes of one event that was handed to the producer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// The producer does not even accept it.
    NotAccepted,
    /// It is on the topic after this time, if at all, and the producer reports after the other.
    Sent {
        written_after: Option<Micros>,
        reported_after: Micros,
        as_success: bool,
    },
}

impl Fate {
    /// `trouble` is how many of a thousand events something happens to.
    pub(super) fn of_event(chance: &mut Chance, trouble: u64) -> Self {
        if !chance.happens(trouble) {
            return Self::taken(chance, 20 * MILLISECOND);
        }
        match chance.index(5) {
            0 => Self::NotAccepted,
            1 => Self::refused(chance),
            // Slow, but in the end all is well.
            2 => Self::taken(chance, 20 * SECOND),
            // Written, and the acknowledgement is lost.
            3 => {
                let written = chance.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(written),
                    reported_after: written + chance.within(1..SECOND),
                    as_success: false,
                }
            }
            // Written long after it was reported as failed.
            _ => {
                let reported = chance.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(reported + chance.within(1..10 * SECOND)),
                    reported_after: reported,
                    as_success: false,
                }
            }
        }
    }

    fn taken(chance: &mut Chance, longest: Micros) -> Self {
        let written = chance.within(1..longest);
        Self::Sent {
            written_after: Some(written),
            reported_after: written + chance.within(1..20 * MILLISECOND),
            as_success: true,
        }
    }

    pub(super) fn refused(chance: &mut Chance) -> Self {
        Self::Sent {
            written_after: None,
            reported_after: chance.within(1..100 * MILLISECOND),
            as_success: false,
        }
    }
}
